//! What the statements cost, by SQLite's own plan: nothing may walk a watch to find a few rows of it.

use sqlx::{AssertSqlSafe, Row as _};

use super::{db, pages, upkeep, write};

async fn plan(statement: &str) -> String {
    let mut conn = db::open_memory().await.unwrap();
    let mut query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).bind(1);
    query = if statement.contains("json_each") {
        query.bind("[]")
    } else {
        query.bind(50).bind(0).bind(0).bind("").bind("").bind("")
    };
    let steps = query.fetch_all(&mut conn).await.unwrap();
    let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
    steps.join("\n")
}

#[tokio::test]
async fn pages_come_from_the_order_index_without_sorting() {
    for (statement, search) in [
        (
            pages::FIRST_ROWS,
            "SEARCH record USING INDEX record_order (watch=?)",
        ),
        (
            pages::NEXT_ROWS,
            "SEARCH record USING INDEX record_order (watch=? AND (time_us,rkey,uri,space)<(?,?,?,?))",
        ),
    ] {
        let plan = plan(statement).await;
        let steps: Vec<_> = plan.lines().collect();
        // The limit is applied to the rows of the index, in their order, before they are put together.
        let [rows, inner, outer] = steps[..] else {
            panic!("{plan}")
        };
        assert!(rows.starts_with("CO-ROUTINE"), "{plan}");
        assert_eq!(inner, search);
        assert!(outer.starts_with("SCAN (subquery"), "{plan}");
    }
}

#[tokio::test]
async fn changed_and_trimmed_rows_are_found_by_index() {
    let delete = plan(write::DELETE).await;
    assert!(
        delete.contains("INDEX record_identity (watch=? AND uri=? AND space=?)"),
        "{delete}"
    );
    let trim = plan(upkeep::TRIM).await;
    assert!(
        trim.contains("COVERING INDEX record_order (watch=?)"),
        "{trim}"
    );
    assert!(!trim.contains("TEMP B-TREE"), "{trim}");
}
