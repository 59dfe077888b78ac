//! Which pages there are, which handles they hold, and when they lose them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::error::{Error, Result};

/// Watches that the pages of one webview may have open.
pub(super) const MAX_WATCHES: usize = 1024;
/// Pages of one webview, frames included, that hold handles at once.
const MAX_PAGES: usize = 64;
/// Pages without handles that are remembered.
const MAX_GONE: usize = 64;
/// Closed handles of a page that are remembered, the highest numbers.
const MAX_CLOSED: usize = MAX_WATCHES;
/// A page that gave no sign of life for this long loses its handles: a crashed one says no goodbye.
pub(super) const LEASE: Duration = Duration::from_secs(90);

/// Label of the webview, and the page's own id.
pub(super) type PageKey = (String, String);

/// Lengths of the parts of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Whether this is an id as pages give themselves one: a UUID in lower case. Events are named by it, and those of any
/// other name are not for one page alone.
pub(super) fn is_session(text: &str) -> bool {
    let is_hex = |part: &str| {
        part.bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    // What is longer is not even looked at.
    text.len() == 36 && text.split('-').map(str::len).eq(UUID) && text.split('-').all(is_hex)
}

/// All pages. `S` is what a handle stands for.
pub(super) struct Sessions<S> {
    pages: HashMap<PageKey, Page<S>>,
    /// Counts the pages that went.
    gone: u64,
    /// Labels of the webviews whose end will be told.
    heeded: HashSet<String>,
}

struct Page<S> {
    handles: HashMap<u32, Arc<S>>,
    /// A reload repeats commands that were in flight: what was closed must not open again.
    closed: BTreeSet<u32>,
    /// Its last sign of life.
    heard: Instant,
    /// When it went, as a count.
    gone: u64,
}

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self {
            pages: HashMap::new(),
            gone: 0,
            heeded: HashSet::new(),
        }
    }
}

impl<S> Page<S> {
    fn new() -> Self {
        Self {
            handles: HashMap::new(),
            closed: BTreeSet::new(),
            heard: Instant::now(),
            gone: 0,
        }
    }

    fn close(&mut self, handle: u32) {
        self.handles.remove(&handle);
        self.closed.insert(handle);
        // Pages count their handles up: only of recent ones a command can still be under way.
        if self.closed.len() > MAX_CLOSED {
            self.closed.pop_first();
        }
    }

    fn close_all(&mut self) {
        for handle in self.handles.keys().copied().collect::<Vec<_>>() {
            self.close(handle);
        }
    }
}

impl<S: Default> Sessions<S> {
    /// The handle, a new one if need be. A sign of life.
    pub(super) fn reserve(&mut self, key: &PageKey, handle: u32) -> Result<Arc<S>> {
        if let Some(page) = self.pages.get_mut(key) {
            page.heard = Instant::now();
            if page.closed.contains(&handle) {
                return Err(Error::UnknownWatch);
            }
            if let Some(slot) = page.handles.get(&handle) {
                return Ok(slot.clone());
            }
        }
        let of_webview = self.pages.iter().filter(|((label, _), _)| *label == key.0);
        let (others, watches) = of_webview.fold((0, 0), |(others, watches), (it, page)| {
            let other = it != key && !page.handles.is_empty();
            (others + usize::from(other), watches + page.handles.len())
        });
        if watches >= MAX_WATCHES || others >= MAX_PAGES {
            return Err(Error::TooManyWatches { limit: MAX_WATCHES });
        }
        let page = self.pages.entry(key.clone()).or_insert_with(Page::new);
        Ok(page.handles.entry(handle).or_default().clone())
    }
}

impl<S> Sessions<S> {
    /// A handle that is open. A sign of life.
    pub(super) fn get(&mut self, key: &PageKey, handle: u32) -> Result<Arc<S>> {
        let page = self.pages.get_mut(key).ok_or(Error::UnknownWatch)?;
        page.heard = Instant::now();
        page.handles
            .get(&handle)
            .cloned()
            .ok_or(Error::UnknownWatch)
    }

    /// Whether the handle is still this one.
    pub(super) fn holds(&self, key: &PageKey, handle: u32, slot: &Arc<S>) -> bool {
        let held = self.pages.get(key).and_then(|it| it.handles.get(&handle));
        held.is_some_and(|held| Arc::ptr_eq(held, slot))
    }

    /// Renews a page's lease and gives the handles that it holds; those that ended are closed.
    pub(super) fn renew(&mut self, key: &PageKey, ended: impl Fn(&S) -> bool) -> Vec<u32> {
        let Some(page) = self.pages.get_mut(key) else {
            return Vec::new();
        };
        page.heard = Instant::now();
        let over: Vec<u32> = page
            .handles
            .iter()
            .filter(|(_, slot)| ended(slot))
            .map(|(handle, _)| *handle)
            .collect();
        for handle in over {
            page.close(handle);
        }
        let mut held: Vec<u32> = page.handles.keys().copied().collect();
        held.sort_unstable();
        self.forget_old();
        held
    }

    /// Gives a handle back. One that is not open is fine.
    pub(super) fn close(&mut self, key: &PageKey, handle: u32) {
        if let Some(page) = self.pages.get_mut(key) {
            page.close(handle);
            self.forget_old();
        }
    }

    /// The webview shows another page now: the handles of those before come back.
    pub(super) fn release(&mut self, label: &str) {
        self.release_if(|(owner, _), _| owner == label);
    }

    /// Notes that the end of this webview will be told by [`Self::forget`]. Says whether that is new.
    pub(super) fn heed(&mut self, label: &str) -> bool {
        self.heeded.insert(label.to_owned())
    }

    /// The webview is gone: nothing of it can come any more.
    pub(super) fn forget(&mut self, label: &str) {
        self.heeded.remove(label);
        self.pages.retain(|(owner, _), _| owner != label);
    }

    /// Takes the handles of pages back that gave no sign of life.
    pub(super) fn lapse(&mut self) {
        self.release_if(|_, page| page.heard.elapsed() >= LEASE);
    }

    /// Renews every lease: no page could be heard while the machine slept.
    pub(super) fn renew_all(&mut self) {
        for page in self.pages.values_mut() {
            page.heard = Instant::now();
        }
    }

    /// What is open, with the label of its webview.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &S)> {
        self.pages.iter().flat_map(|((label, _), page)| {
            let slots = page.handles.values();
            slots.map(move |slot| (&**label, &**slot))
        })
    }

    /// How many handles are open.
    pub(super) fn handle_count(&self) -> usize {
        self.pages.values().map(|it| it.handles.len()).sum()
    }

    fn release_if(&mut self, is_meant: impl Fn(&PageKey, &Page<S>) -> bool) {
        for (key, page) in &mut self.pages {
            if is_meant(key, page) {
                page.close_all();
            }
        }
        self.forget_old();
    }

    /// What a page left in flight comes soon or never: of those without handles the oldest can go.
    fn forget_old(&mut self) {
        let mut old: Vec<(u64, PageKey)> = Vec::new();
        for (key, page) in &mut self.pages {
            if !page.handles.is_empty() {
                page.gone = 0;
                continue;
            }
            if page.gone == 0 {
                self.gone += 1;
                page.gone = self.gone;
            }
            old.push((page.gone, key.clone()));
        }
        if let Some(excess) = old.len().checked_sub(MAX_GONE) {
            old.sort_unstable();
            for (_, key) in old.drain(..excess) {
                self.pages.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(label: &str, session: u32) -> PageKey {
        (label.to_owned(), format!("0-0-0-{session}"))
    }

    #[test]
    fn a_session_id_has_one_form() {
        let good = "0c8f5a3e-9f6d-4b1a-8c2d-0123456789ab";
        assert!(is_session(good));
        let long = format!("{good}{}", "4".repeat(1 << 20));
        for bad in [
            "",
            "-",
            "----",
            "0c8f5a3e9f6d4b1a8c2d0123456789ab",
            "0C8F5A3E-9F6D-4B1A-8C2D-0123456789AB",
            "0c8f5a3e-9f6d-4b1a-8c2d-0123456789a",
            "0c8f5a3e-9f6d-4b1a-8c2d-0123456789a/",
            "0c8f5a3e-9f6d-4b1a-8c2d-0123456789ab/mint",
            "0c8f5a3e-9f6d4-b1a-8c2d-0123456789ab",
            "0c8f5a3é-9f6d-4b1a-8c2d-0123456789a",
            "cache-warning",
            &long,
        ] {
            assert!(!is_session(bad), "{bad:.40}");
        }
    }

    fn sessions() -> Sessions<()> {
        Sessions::default()
    }

    #[tokio::test]
    async fn a_released_page_cannot_open_its_handles_again_but_new_ones() {
        let (mut all, main) = (sessions(), page("main", 1));
        let slot = all.reserve(&main, 1).unwrap();
        all.reserve(&page("other", 1), 1).unwrap();
        all.release("main");
        assert_eq!(all.handle_count(), 1);
        assert!(!all.holds(&main, 1, &slot));
        assert!(all.get(&main, 1).is_err());
        assert!(all.reserve(&main, 1).is_err());
        assert!(all.reserve(&main, 2).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_lapses_after_90_s_without_a_sign_of_life() {
        let (mut all, quiet, alive) = (sessions(), page("main", 1), page("main", 2));
        all.reserve(&quiet, 1).unwrap();
        all.reserve(&alive, 1).unwrap();
        for sign in 0..4 {
            tokio::time::advance(LEASE / 4).await;
            all.lapse();
            match sign {
                0 => drop(all.get(&alive, 1).unwrap()),
                1 => drop(all.reserve(&alive, 2).unwrap()),
                2 => assert_eq!(all.renew(&alive, |()| false), [1, 2]),
                _ => {}
            }
        }
        assert_eq!(all.renew(&quiet, |()| false), [0; 0]);
        assert!(all.reserve(&quiet, 1).is_err(), "it was closed");
        assert!(all.reserve(&quiet, 2).is_ok(), "it is opened again so");
        tokio::time::advance(LEASE - Duration::from_millis(1)).await;
        all.renew_all();
        tokio::time::advance(LEASE - Duration::from_millis(1)).await;
        all.lapse();
        assert_eq!(all.handle_count(), 3);
        tokio::time::advance(Duration::from_millis(1)).await;
        all.lapse();
        assert_eq!(all.handle_count(), 0);
    }

    #[tokio::test]
    async fn what_has_ended_is_not_held() {
        let (mut all, main) = (Sessions::<u32>::default(), page("main", 1));
        let mut slots = Vec::new();
        for handle in 1..=3 {
            slots.push(all.reserve(&main, handle).unwrap());
        }
        let ended = Arc::as_ptr(&slots[1]);
        let held = all.renew(&main, |slot| std::ptr::eq(slot, ended));
        assert_eq!(held, [1, 3]);
        assert!(all.reserve(&main, 2).is_err());
    }

    #[tokio::test]
    async fn the_memory_of_pages_and_handles_that_are_gone_is_bounded() {
        let mut all = sessions();
        all.reserve(&page("held", 0), 1).unwrap();
        for session in 0..1000 {
            let main = page("main", session);
            all.reserve(&main, 1).unwrap();
            if session % 2 == 0 {
                all.release("main");
            } else {
                all.close(&main, 1);
            }
        }
        assert_eq!(all.pages.len(), MAX_GONE + 1);
        assert!(all.reserve(&page("main", 999), 1).is_err(), "the last ones");
        assert!(all.get(&page("held", 0), 1).is_ok());

        // Whatever numbers a page takes.
        for handle in (0..100_000).rev() {
            all.close(&page("held", 0), handle);
        }
        assert_eq!(all.pages[&page("held", 0)].closed.len(), MAX_CLOSED);
        for label in ["main", "held"] {
            all.forget(label);
        }
        assert!(all.pages.is_empty());
    }

    #[tokio::test]
    async fn a_webview_has_so_many_pages_and_watches_and_no_more() {
        let mut all = sessions();
        for session in 0..MAX_PAGES as u32 {
            all.reserve(&page("main", session), 1).unwrap();
        }
        let refused = all.reserve(&page("main", 1000), 1);
        assert!(matches!(refused, Err(Error::TooManyWatches { .. })));
        assert!(all.reserve(&page("other", 0), 1).is_ok());
        all.close(&page("main", 0), 1);
        assert!(all.reserve(&page("main", 0), 2).is_ok());
        for handle in 2..=(MAX_WATCHES - MAX_PAGES) as u32 + 1 {
            all.reserve(&page("main", 1), handle).unwrap();
        }
        let refused = all.reserve(&page("main", 1), 5000);
        assert!(matches!(refused, Err(Error::TooManyWatches { .. })));
        assert!(all.reserve(&page("main", 1), 2).is_ok(), "it is open");
    }
}
