//! How a follower of a watch is told what is new: waiting for it, or asking whether there is any.

mod common;

use common::{Lounge, engine, until, until_live};
use futures_util::poll;

#[tokio::test]
async fn one_who_does_not_want_to_wait_gets_what_is_new_or_nothing() {
    let lounge = Lounge::open().await;
    lounge.say("a", "one");
    let engine = engine();
    let (watch, other) = (
        engine.watch(lounge.spec()).await,
        engine.watch(lounge.spec()).await,
    );
    until_live(&watch).await;
    assert!(watch.try_next().await.is_none());

    lounge.say("b", "two");
    lounge.say("c", "three");
    // Another follower of the same watch knows of both: so they are news for this one, too.
    until(&other, |state| state.entries.len() == 3).await;
    let delta = watch.try_next().await.unwrap();
    assert_eq!((delta.len, delta.changed.len()), (3, 2));
    assert!(watch.try_next().await.is_none());
}

#[tokio::test]
async fn asking_loses_nothing_that_a_cancelled_wait_would_have_told() {
    let lounge = Lounge::open().await;
    let engine = engine();
    let (watch, other) = (
        engine.watch(lounge.spec()).await,
        engine.watch(lounge.spec()).await,
    );
    until_live(&watch).await;
    let rev = watch.state().await.unwrap().rev;
    {
        let mut waiting = Box::pin(watch.next());
        assert!(poll!(&mut waiting).is_pending());
        lounge.say("a", "one");
        // The delta is made for the one who waits, who never takes it.
        until(&other, |state| state.entries.len() == 1).await;
    }
    let delta = watch.try_next().await.unwrap();
    assert_eq!((delta.rev, delta.len, delta.changed.len()), (rev + 1, 1, 1));
    assert!(watch.try_next().await.is_none());
}
