//! How many tests passed and failed, read from what the test runners report.

use std::ops::AddAssign;

use anyhow::{Context, Result};

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub passed: u64,
    pub failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The counts of one line of `cargo test`, as in `test result: ok. 12 passed; 0 failed; …`.
pub(crate) fn cargo_line(line: &str) -> Option<Counts> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let (_, rest) = rest.split_once(". ")?;
    let number = |word: &str| -> Option<u64> {
        rest.split(';')
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
    })
}

/// The counts of vitest's JSON report. A file that could not even be loaded counts as one failure.
pub(crate) fn vitest(report: &str) -> Result<Counts> {
    let report: serde_json::Value =
        serde_json::from_str(report).context("vitest's report is not JSON")?;
    let number = |name: &str| {
        report[name]
            .as_u64()
            .with_context(|| format!("vitest's report has no {name}"))
    };
    let failed_tests = number("numFailedTests")?;
    let failed_suites = number("numFailedTestSuites")?;
    Ok(Counts {
        passed: number("numPassedTests")?,
        failed: if failed_tests == 0 {
            failed_suites
        } else {
            failed_tests
        },
    })
}

/// The counts at the end of a TAP report of node's test runner. Cancelled tests have failed.
pub(crate) fn node_tap(report: &str) -> Result<Counts> {
    let number = |name: &str| -> Result<u64> {
        report
            .lines()
            .rev()
            .find_map(|line| {
                line.strip_prefix("# ")?
                    .strip_prefix(name)?
                    .trim()
                    .parse()
                    .ok()
            })
            .with_context(|| format!("node's report has no count of {}", name.trim()))
    };
    Ok(Counts {
        passed: number("pass ")?,
        failed: number("fail ")? + number("cancelled ")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_read_whatever_the_verdict() {
        let ok = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(
            cargo_line(ok),
            Some(Counts {
                passed: 12,
                failed: 0
            })
        );
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            cargo_line(bad),
            Some(Counts {
                passed: 3,
                failed: 2
            })
        );
    }

    #[test]
    fn other_lines_of_cargo_count_nothing() {
        assert_eq!(cargo_line("test result_is_kept ... ok"), None);
        assert_eq!(cargo_line("running 12 tests"), None);
        assert_eq!(cargo_line("test result: ok. many passed; 0 failed"), None);
    }

    #[test]
    fn vitest_tests_are_counted_and_an_unloadable_file_is_a_failure() {
        let good = r#"{"numPassedTests":7,"numFailedTests":0,"numFailedTestSuites":0}"#;
        assert_eq!(
            vitest(good).unwrap(),
            Counts {
                passed: 7,
                failed: 0
            }
        );
        let unloadable = r#"{"numPassedTests":7,"numFailedTests":0,"numFailedTestSuites":1}"#;
        assert_eq!(
            vitest(unloadable).unwrap(),
            Counts {
                passed: 7,
                failed: 1
            }
        );
        assert!(vitest("{}").is_err());
        assert!(vitest("").is_err());
    }

    #[test]
    fn node_counts_come_from_the_report_s_end_and_include_cancelled_tests() {
        let tap = "# Subtest: pass 99\nok 1 - pass 99\n# tests 6\n# suites 1\n# pass 3\n# fail 2\n# cancelled 1\n# skipped 0\n";
        assert_eq!(
            node_tap(tap).unwrap(),
            Counts {
                passed: 3,
                failed: 3
            }
        );
        assert!(node_tap("TAP version 13\n").is_err());
    }
}
