//! For Nagios and its kin: one line with performance data, a line for each mark,
//! and an exit status.

use super::marks::{Mark, TargetRow};
use super::{Counts, targets};

/// From how many targets on it is bad.
pub(super) struct Thresholds {
    /// Marked ones are a warning.
    pub(super) warning: u64,
    /// Those that failed or don't answer are critical.
    pub(super) critical: u64,
}

/// The text and the exit status: 0, 1 or 2.
pub(super) fn verdict(rows: &[TargetRow], limits: &Thresholds) -> (String, u8) {
    let counts = Counts::of(rows);
    let bad = (counts.failed + counts.unknown) as u64;
    let marked = bad + counts.drift as u64;
    let (state, code) = match () {
        () if bad > 0 && bad >= limits.critical => ("CRITICAL", 2),
        () if marked > 0 && marked >= limits.warning => ("WARNING", 1),
        () => ("OK", 0),
    };
    let Counts { targets: all, failed, unknown, drift } = counts;
    let Thresholds { warning, critical } = limits;
    let mut text = format!(
        "OCTO {state} - {}, {failed} failed, {unknown} unknown, {drift} drift | \
         targets={all};;;0 failed={failed};;{critical};0;{all} \
         unknown={unknown};;{critical};0;{all} drift={drift};{warning};;0;{all}\n",
        targets(all)
    );
    for (row, mark) in rows.iter().filter_map(|row| Some((row, row.mark?))) {
        text += &format!("{}\n", line(row, mark));
    }
    (text, code)
}

fn line(row: &TargetRow, mark: Mark) -> String {
    let what = row.release().map_or(String::new(), |release| {
        format!("{} {}: ", release.application, release.version.as_deref().unwrap_or("-"))
    });
    // What stands behind a bar would be performance data.
    let why = row.message().map_or(String::new(), |why| format!(": {}", why.replace('|', "/")));
    format!("{}: {what}{}{why}", row.target, mark.word())
}

#[cfg(test)]
mod tests {
    use super::super::marks::{marked, tests::states};
    use super::*;

    #[test]
    fn one_line_and_an_exit_status() {
        let rows = marked(states(&[
            "away no | failed=0",
            "web1 shop 1.1 a 1 failed",
            "web2 shop 1.1 a 1 ok",
            "web3 shop 1.0 b 1 ok",
        ]));
        let of = |warning, critical| verdict(&rows, &Thresholds { warning, critical });
        let (text, code) = of(1, 1);
        let expected = "OCTO CRITICAL - 4 targets, 1 failed, 1 unknown, 1 drift | targets=4;;;0 \
            failed=1;;1;0;4 unknown=1;;1;0;4 drift=1;1;;0;4\naway: unknown: no / failed=0\n\
            web1: shop 1.1: failed\nweb3: shop 1.0: drift\n";
        assert_eq!((text.as_str(), code), (expected, 2));
        assert_eq!((of(1, 2).1, of(3, 3).1, of(4, 3).1), (2, 1, 0));
        let (text, code) =
            verdict(&marked(states(&["web1"])), &Thresholds { warning: 0, critical: 0 });
        assert!(text.starts_with("OCTO OK - 1 target, 0 failed, ") && code == 0, "{text}");
    }
}
