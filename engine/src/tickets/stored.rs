//! Tickets in the vault: what they are called, and how they make room.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use super::TicketSource;
use crate::vault::{Secret, Vault, VaultError};

/// What all tickets' names in the vault begin with.
pub(crate) const TICKET_PREFIX: &str = "ticket:";

/// Stores a secret; in a full vault it takes the place of the tickets, which can be minted again.
pub(crate) async fn store(vault: &Vault, name: &str, secret: Secret) -> Result<(), VaultError> {
    store_while(vault, name, secret, || true).await
}

/// The same, unless it is not wanted any more when its turn comes.
pub(super) async fn store_while(
    vault: &Vault,
    name: &str,
    secret: Secret,
    is_wanted: impl Fn() -> bool,
) -> Result<(), VaultError> {
    match vault.set_while(name, secret.clone(), &is_wanted).await {
        Err(VaultError::Full) => {
            vault.clear(TICKET_PREFIX).await?;
            vault.set_while(name, secret, is_wanted).await
        }
        other => other,
    }
}

/// What a ticket is called in the vault. Nobody gets one that others had minted, or that they may not ask for: the name is of
/// account, query, source and scope alike. It says nothing: URLs can carry invite tokens, and keyrings show names.
pub(super) fn name(
    source: &TicketSource,
    url: &Url,
    account: Option<&str>,
    guard_id: &str,
) -> String {
    let (kind, minter) = match source {
        TicketSource::Minter(named) => ("minter", named.name()),
        TicketSource::Followers => ("followers", ""),
        TicketSource::Public | TicketSource::Static(_) => ("", ""),
    };
    let whose = if account.is_some() { "account" } else { "" };
    let mut hash = Sha256::new();
    for part in [
        kind,
        minter,
        whose,
        account.unwrap_or_default(),
        guard_id,
        url.as_str(),
    ] {
        // With its length, no part can pass for the end of another and the beginning of the next.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    format!("{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tickets::NamedMinter;

    #[test]
    fn names_in_the_vault_say_nothing_and_differ_by_all_that_a_ticket_is_of() {
        let minter = |name: &str| {
            let mint = |_| async { Ok::<_, String>(String::new()) };
            TicketSource::Minter(NamedMinter::new(name, mint))
        };
        let url = |url: &str| Url::parse(url).unwrap();
        let sesame = url("https://a.example/x?inviteToken=sesame");
        let followers = TicketSource::Followers;
        let names = [
            name(&followers, &sesame, Some("did:plc:alice"), "scope"),
            name(&followers, &sesame, Some("did:plc:bob"), "scope"),
            name(&followers, &sesame, Some(""), "scope"),
            name(&followers, &sesame, None, "scope"),
            name(&followers, &sesame, None, ""),
            name(&followers, &url("https://a.example/x"), None, "scope"),
            name(&minter("a"), &sesame, None, "scope"),
            name(&minter("b"), &sesame, None, "scope"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(!name.contains("sesame") && !name.contains("alice"));
            assert!(!names[..at].contains(name), "{at}");
        }
    }
}
