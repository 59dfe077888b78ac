//! What the plugin promises of a window, as ratios of one run wherever that is possible.

use serde_json::{Value, json};

/// What our number is compared with.
enum Base {
    /// The unit itself.
    One,
    /// What this contestant needed for this case.
    Of(&'static str, &'static str),
    /// Ourselves with so many records.
    Smaller(u64),
}

/// How the two compare.
enum Limit {
    Most(f64),
    Least(f64),
}

struct Promise {
    case: &'static str,
    n: u64,
    base: Base,
    limit: Limit,
}

const fn promise(case: &'static str, n: u64, base: Base, limit: Limit) -> Promise {
    Promise {
        case,
        n,
        base,
        limit,
    }
}

const LIVE: &str = "start to live";
const FIRST: &str = "start to first 50 rows on screen";
const CACHED: &str = "start to first 50 rows from the cache";
const UPDATES: &str = "updates at full rate";
const MAIN: &str = "main thread per 1,000 updates";
/// Two frames, in milliseconds.
const TWO_FRAMES: f64 = 33.4;

const PROMISES: [Promise; 10] = {
    use Base::{Of, One, Smaller};
    use Limit::{Least, Most};
    [
        promise(FIRST, 10_000, Of("naive", LIVE), Most(0.4)),
        promise(LIVE, 10_000, Of("naive", LIVE), Most(1.0)),
        promise(LIVE, 10_000, Of("floor", LIVE), Most(1.3)),
        promise("longest frame gap until live", 10_000, One, Most(20.0)),
        promise(CACHED, 10_000, Smaller(200), Most(1.5)),
        promise(UPDATES, 10_000, Of("naive", UPDATES), Least(50.0)),
        promise(
            "longest frame gap, updates at full rate",
            10_000,
            One,
            Most(34.0),
        ),
        promise(MAIN, 10_000, Of("naive", MAIN), Most(0.05)),
        promise("500 updates/s: applied", 50_000, One, Least(100.0)),
        promise("500 updates/s: latency p95", 50_000, One, Most(TWO_FRAMES)),
    ]
};

/// Adds to each row what was promised of it: `promises`, a list of `{terms, measured, kept}`.
pub(super) fn check(rows: &mut [Value]) {
    for promise in &PROMISES {
        let number = |case: &str, n: u64, who: &str| {
            let row = rows.iter().find(|row| row["case"] == case && row["n"] == n);
            row.and_then(|row| row[who].as_f64())
        };
        let base = match promise.base {
            Base::One => Some(1.0),
            Base::Of(who, case) => number(case, promise.n, who),
            Base::Smaller(n) => number(promise.case, n, "ours"),
        };
        let measured = number(promise.case, promise.n, "ours");
        let measured = measured.zip(base).map(|(ours, base)| ours / base);
        let kept = measured.map(|measured| match promise.limit {
            Limit::Most(most) => measured <= most,
            Limit::Least(least) => measured >= least,
        });
        let verdict = json!({ "terms": promise.terms(), "measured": measured, "kept": kept });
        let wanted = |row: &&mut Value| row["case"] == promise.case && row["n"] == promise.n;
        if let Some(row) = rows.iter_mut().find(wanted) {
            match row["promises"].as_array_mut() {
                Some(promises) => promises.push(verdict),
                None => row["promises"] = json!([verdict]),
            }
        }
    }
}

impl Promise {
    fn terms(&self) -> String {
        let limit = match self.limit {
            Limit::Most(most) => format!("≤ {most}"),
            Limit::Least(least) => format!("≥ {least}"),
        };
        match self.base {
            Base::One => limit,
            Base::Of(who, case) if case == self.case => format!("{limit} × {who}'s"),
            Base::Of(who, case) => format!("{limit} × {who}'s {case}"),
            Base::Smaller(n) => format!("{limit} × that of {n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, n: u64, ours: f64, naive: f64) -> Value {
        json!({ "case": case, "n": n, "unit": "ms", "ours": ours, "naive": naive, "floor": null })
    }

    #[test]
    fn a_promise_is_kept_or_not_and_what_was_not_measured_is_not_kept() {
        let mut rows = [
            row(FIRST, 10_000, 30.0, 999.0),
            row(LIVE, 10_000, 150.0, 100.0),
            row(UPDATES, 10_000, 5000.0, 100.0),
        ];
        check(&mut rows);
        assert_eq!(rows[0]["promises"][0]["kept"], true);
        assert_eq!(rows[0]["promises"][0]["measured"], 0.3);
        assert_eq!(rows[1]["promises"][0]["kept"], false);
        assert_eq!(rows[1]["promises"][1]["kept"], Value::Null);
        assert_eq!(rows[2]["promises"][0]["kept"], true);
    }

    #[test]
    fn the_cache_is_compared_with_a_smaller_one() {
        let mut rows = [row(CACHED, 200, 10.0, 0.0), row(CACHED, 10_000, 16.0, 0.0)];
        check(&mut rows);
        assert_eq!(rows[0]["promises"], Value::Null);
        assert_eq!(rows[1]["promises"][0]["measured"], 1.6);
        assert_eq!(rows[1]["promises"][0]["kept"], false);
    }
}
