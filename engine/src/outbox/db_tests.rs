use std::{fs, path::PathBuf};

use super::*;

fn new(key: &str, text: &str) -> NewWrite {
    NewWrite {
        key: key.into(),
        account: Some("did:plc:alice".into()),
        uri: AtUri::parse(format!("at://did:plc:alice/com.example.message/{key}")).unwrap(),
        space: None,
        action: Action::Put(Arc::from(
            RawValue::from_string(format!("{{\"text\":\"{text}\"}}")).unwrap(),
        )),
        swap: Some("before".into()),
        time_us: 7,
        view: "view".into(),
        sent_by: SentBy::Name("pds".into()),
        queued_at: 9,
    }
}

#[test]
fn each_file_of_migrations_is_a_step() {
    crate::cache::files::has_all_files_of(&MIGRATOR, "src/outbox/migrations");
}

async fn filled(file: &Path, writes: usize) -> Db {
    let mut db = Db::open(Some(file)).await.unwrap().db;
    for n in 0..writes {
        db.insert(&new(&n.to_string(), &"x".repeat(500)), false)
            .await
            .unwrap();
    }
    db
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("outbox.sqlite");
    (dir, file)
}

#[tokio::test]
async fn a_write_comes_back_as_it_was_kept() {
    let (_dir, file) = file();
    let mut db = filled(&file, 0).await;
    let id = db.insert(&new("a", "one"), true).await.unwrap();
    assert_eq!(db.insert(&new("a", "twice"), false).await.unwrap(), id);
    let (mut rows, damaged) = db.load().await.unwrap();
    assert_eq!((rows.len(), damaged), (1, 0));
    let mut row = rows.pop().unwrap();
    assert!(row.over_last && row.write.swap.is_none() && row.state == WriteState::Queued);

    row.state = WriteState::Failed;
    row.error = Some(SendError::new("conflict", "somebody else's"));
    row.write.attempt = 3;
    row.write.swap = Some("now".into());
    db.keep([(id, Some(&row))].into_iter()).await.unwrap();
    assert!(
        !db.replace(&row).await.unwrap(),
        "a server may have seen it"
    );
    db.close().await;

    let mut db = Db::open(Some(&file)).await.unwrap().db;
    let kept = db.load().await.unwrap().0.pop().unwrap();
    assert_eq!(kept.write.attempt, 3);
    assert_eq!((kept.state, kept.error), (row.state, row.error));
    assert_eq!(kept.write.swap.as_deref(), Some("now"));
    db.keep([(id, None)].into_iter()).await.unwrap();
    assert!(db.load().await.unwrap().0.is_empty());
    assert!(
        db.insert(&new("b", "two"), false).await.unwrap() > id,
        "numbers are not used again"
    );
}

#[tokio::test]
async fn versions_that_were_made_are_remembered_the_last_records_only() {
    let (_dir, file) = file();
    let mut db = filled(&file, 0).await;
    let of = |n: usize| {
        let record: RecordKey = (Some("alice".into()), None, Arc::from(format!("at://{n}")));
        (record, vec!["a".to_owned(), n.to_string()])
    };
    let many: Vec<_> = (0..MOST_RECORDS + 5).map(of).collect();
    db.keep_made(&many).await.unwrap();
    db.keep_made(&[of(100)]).await.unwrap();
    let made = db.made().await.unwrap();
    assert_eq!(made.len(), MOST_RECORDS);
    assert_eq!(made.last(), Some(&of(100)), "written last");
    assert!(!made.contains(&of(0)));
    db.forget_made(Some("bob")).await.unwrap();
    assert_eq!(db.made().await.unwrap().len(), MOST_RECORDS);
    db.forget_made(Some("alice")).await.unwrap();
    assert!(db.made().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_dropped_and_counted() {
    let (_dir, file) = file();
    let mut db = filled(&file, 3).await;
    sqlx::query("UPDATE write SET account = 'did:plc:mallory' WHERE id = 2")
        .execute(&mut db.conn)
        .await
        .unwrap();
    let (rows, damaged) = db.load().await.unwrap();
    assert_eq!((rows.len(), damaged), (2, 1));
    assert_eq!(db.load().await.unwrap().1, 0);
}

#[tokio::test]
async fn what_can_be_read_of_a_damaged_file_is_carried_over() {
    let (_dir, file) = file();
    let db = filled(&file, 200).await;
    db.close().await;
    let whole = fs::read(&file).unwrap();
    // A file that was cut short does not open.
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let Opened { mut db, mended } = Db::open(Some(&file)).await.unwrap();
    let (rows, damaged) = db.load().await.unwrap();
    match mended {
        Some((_, saved)) => assert_eq!(saved, rows.len()),
        None => assert_eq!(damaged, 0),
    }
    assert!(db.insert(&new("fresh", "more"), false).await.unwrap() > 0);
}

#[tokio::test]
async fn the_file_of_another_application_is_set_aside_and_left_as_it_was() {
    let (_dir, file) = file();
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("CREATE TABLE theirs (a)")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    let opened = Db::open(Some(&file)).await.unwrap();
    assert_eq!(opened.mended.unwrap().1, 0);
    let folder = fs::read_dir(file.parent().unwrap()).unwrap();
    let asides = folder.filter(|it| {
        let name = it.as_ref().unwrap().file_name();
        name.to_string_lossy().contains(".damaged-")
    });
    assert!(asides.count() >= 1);
}
