//! What was measured, as Markdown.

use std::fmt;

use serde_json::Value;

/// Rows that compare us with a base.
pub(super) struct HotPaths<'a>(pub &'a [Value]);

impl fmt::Display for HotPaths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| case / base | n | unit | ours | base | ratio | bound | |"
        )?;
        writeln!(f, "|---|--:|---|--:|--:|--:|--:|---|")?;
        for row in self.0 {
            let verdict = match (row["ratio"].as_f64(), row["bound"].as_f64()) {
                (Some(ratio), Some(bound)) if ratio <= bound => "within",
                (_, Some(_)) => "over",
                _ => "",
            };
            let (case, n, unit) = head(row);
            let (ours, base) = (number(&row["ours"], 2), number(&row["base"], 2));
            let (ratio, bound) = (number(&row["ratio"], 3), number(&row["bound"], 2));
            writeln!(
                f,
                "| {case} | {n} | {unit} | {ours} | {base} | {ratio} | {bound} | {verdict} |",
            )?;
        }
        Ok(())
    }
}

/// Rows of the window, which compare us with two yardsticks.
pub(super) struct Windows<'a>(pub &'a [Value]);

impl fmt::Display for Windows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| in the window | n | unit | ours | naive | floor | ours / naive | ours / floor |"
        )?;
        writeln!(f, "|---|--:|---|--:|--:|--:|--:|--:|")?;
        for row in self.0 {
            let (case, n, unit) = head(row);
            let [ours, naive, floor] = ["ours", "naive", "floor"].map(|who| number(&row[who], 1));
            let ratio = |to: &str| match (row["ours"].as_f64(), row[to].as_f64()) {
                (Some(ours), Some(base)) if base > 0.0 => format!("{:.2}", ours / base),
                _ => String::new(),
            };
            let (to_naive, to_floor) = (ratio("naive"), ratio("floor"));
            writeln!(
                f,
                "| {case} | {n} | {unit} | {ours} | {naive} | {floor} | {to_naive} | {to_floor} |",
            )?;
        }
        Ok(())
    }
}

/// What the window's rows promise, and whether they keep it.
pub(super) struct Promises<'a>(pub &'a [Value]);

impl fmt::Display for Promises<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| promise | n | measured | |")?;
        writeln!(f, "|---|--:|--:|---|")?;
        for row in self.0 {
            for promise in row["promises"].as_array().into_iter().flatten() {
                let (case, n, _) = head(row);
                let terms = promise["terms"].as_str().unwrap_or_default();
                let measured = number(&promise["measured"], 2);
                let verdict = match promise["kept"].as_bool() {
                    Some(true) => "kept",
                    _ => "not kept",
                };
                writeln!(f, "| {case} {terms} | {n} | {measured} | {verdict} |")?;
            }
        }
        Ok(())
    }
}

fn head(row: &Value) -> (&str, &Value, &str) {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    (text("case"), &row["n"], text("unit"))
}

fn number(value: &Value, digits: usize) -> String {
    let number = value.as_f64();
    number.map_or_else(String::new, |it| format!("{it:.digits$}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_says_which_ratios_are_over_their_bound() {
        let row = |ratio: f64, bound: Option<f64>| json!({ "case": "a", "n": 10, "unit": "µs", "ours": ratio, "base": 1.0, "ratio": ratio, "bound": bound });
        let rows = [row(0.5, Some(1.0)), row(1.5, Some(1.0)), row(9.0, None)];
        let table = HotPaths(&rows).to_string();
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            "| a | 10 | µs | 0.50 | 1.00 | 0.500 | 1.00 | within |"
        );
        assert!(lines[1].ends_with("| over |"));
        assert!(lines[2].ends_with("|  |  |"));
    }

    #[test]
    fn what_was_not_measured_leaves_its_cells_empty() {
        let row =
            json!({ "case": "a", "n": 10, "unit": "ms", "ours": 2.0, "naive": null, "floor": 4.0 });
        let table = Windows(&[row]).to_string();
        assert_eq!(
            table.lines().last(),
            Some("| a | 10 | ms | 2.0 |  | 4.0 |  | 0.50 |")
        );
    }
}
