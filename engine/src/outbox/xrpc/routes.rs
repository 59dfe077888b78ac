//! Where a write goes, and what is said there.

use http::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use url::Url;

use crate::pure::outbox::write::{Action, SendError, Write};

/// An appview, and what the names of its routes begin with.
#[derive(Clone)]
pub(super) struct Appview {
    pub(super) url: Url,
    pub(super) namespace: String,
}

impl Appview {
    /// The URL of one of its routes.
    pub(super) fn route(&self, name: &str) -> Url {
        route(&self.url, &format!("{}.{name}", self.namespace))
    }
}

/// A request of XRPC.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
}

impl Call {
    fn post(url: Url, input: &impl Serialize) -> Result<Self, SendError> {
        let body = serde_json::to_vec(input);
        let body = body.map_err(|_| SendError::new("bad-record", "the record is not JSON"))?;
        Ok(Self {
            method: Method::POST,
            url,
            body: Some(body),
        })
    }

    /// Puts or deletes a public record. `validate`: whether the server checks it against its lexicon.
    pub(super) fn public(
        pds: &Url,
        write: &Write,
        validate: Option<bool>,
    ) -> Result<Self, SendError> {
        let (record, name) = parts(write);
        let input = Public {
            repo: write.uri.did(),
            collection: write.uri.collection(),
            rkey: write.uri.rkey(),
            record,
            validate: validate.filter(|_| record.is_some()),
            swap_record: write.swap.as_deref(),
        };
        Self::post(route(pds, &format!("com.atproto.repo.{name}")), &input)
    }

    /// Puts or deletes a record of this space. Its route takes no swap.
    pub(super) fn in_space(
        appview: &Appview,
        write: &Write,
        space: &str,
    ) -> Result<Self, SendError> {
        let (record, name) = parts(write);
        let input = InSpace {
            space_uri: space,
            collection: write.uri.collection(),
            rkey: write.uri.rkey(),
            record,
        };
        Self::post(appview.route(&format!("space.{name}")), &input)
    }

    /// Asks for the record as it is now.
    pub(super) fn look(pds: &Url, write: &Write) -> Self {
        let mut url = route(pds, "com.atproto.repo.getRecord");
        url.query_pairs_mut()
            .append_pair("repo", write.uri.did())
            .append_pair("collection", write.uri.collection())
            .append_pair("rkey", write.uri.rkey());
        Self {
            method: Method::GET,
            url,
            body: None,
        }
    }

    /// Tells an appview that a record has changed.
    pub(super) fn notice(appview: &Appview, write: &Write) -> Result<Self, SendError> {
        let notice = Notice {
            uri: write.uri.as_str(),
        };
        Self::post(appview.route("notifyOfUpdate"), &notice)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Public<'a> {
    repo: &'a str,
    collection: &'a str,
    rkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_record: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InSpace<'a> {
    space_uri: &'a str,
    collection: &'a str,
    rkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Notice<'a> {
    uri: &'a str,
}

/// The body of a put, and what the server calls the action.
fn parts(write: &Write) -> (Option<&RawValue>, &'static str) {
    match &write.action {
        Action::Put(record) => (Some(record), "putRecord"),
        Action::Delete => (None, "deleteRecord"),
    }
}

/// The URL of a method, below whatever path the service has.
fn route(service: &Url, method: &str) -> Url {
    let mut url = service.clone();
    let above = service.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{above}/xrpc/{method}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::protocol::record::AtUri;

    const SPACE: &str = "ats://did:plc:alice/com.example.space/lounge";

    fn write(action: Action) -> Write {
        let uri = AtUri::parse("at://did:plc:alice/com.example.message/1").unwrap();
        Write::new("key", uri, action)
    }

    fn put() -> Write {
        // Kept as it was written, whatever a stricter reader would make of it.
        let record = r#"{"n": 1.0, "t":"\ud83d"}"#.to_owned();
        write(Action::Put(std::sync::Arc::from(
            RawValue::from_string(record).unwrap(),
        )))
    }

    fn said(call: &Call) -> (&str, &str) {
        let body = call.body.as_deref().unwrap_or_default();
        (call.url.as_str(), std::str::from_utf8(body).unwrap())
    }

    #[test]
    fn a_public_write_names_repo_and_record_and_the_version_it_was_made_from() {
        let pds = "https://pds.example/".parse().unwrap();
        let call = Call::public(&pds, &put(), None).unwrap();
        let url = "https://pds.example/xrpc/com.atproto.repo.putRecord";
        let who = r#"{"repo":"did:plc:alice","collection":"com.example.message","rkey":"1""#;
        let record = r#""record":{"n": 1.0, "t":"\ud83d"}"#;
        assert_eq!(said(&call), (url, &*format!("{who},{record}}}")));
        let mut swapping = put();
        swapping.swap = Some("bafy".to_owned());
        let call = Call::public(&pds, &swapping, Some(false)).unwrap();
        let rest = r#""validate":false,"swapRecord":"bafy"}"#;
        assert_eq!(said(&call), (url, &*format!("{who},{record},{rest}")));
        let mut deleting = write(Action::Delete);
        deleting.swap = Some("bafy".to_owned());
        let call = Call::public(&pds, &deleting, Some(false)).unwrap();
        let url = "https://pds.example/xrpc/com.atproto.repo.deleteRecord";
        let rest = r#""swapRecord":"bafy"}"#;
        assert_eq!(said(&call), (url, &*format!("{who},{rest}")));
    }

    #[test]
    fn a_write_of_a_space_names_the_space_and_no_version() {
        let appview = Appview {
            url: "https://a.example/prefix/?x=y#z".parse().unwrap(),
            namespace: "com.example".to_owned(),
        };
        let mut swapping = put();
        swapping.swap = Some("bafy".to_owned());
        let call = Call::in_space(&appview, &swapping, SPACE).unwrap();
        let url = "https://a.example/prefix/xrpc/com.example.space.putRecord";
        let which =
            format!(r#"{{"spaceUri":"{SPACE}","collection":"com.example.message","rkey":"1""#);
        let body = format!(r#"{which},"record":{{"n": 1.0, "t":"\ud83d"}}}}"#);
        assert_eq!(said(&call), (url, &*body));
        let call = Call::in_space(&appview, &write(Action::Delete), SPACE).unwrap();
        let url = "https://a.example/prefix/xrpc/com.example.space.deleteRecord";
        assert_eq!(said(&call), (url, &*format!("{which}}}")));
    }
}
