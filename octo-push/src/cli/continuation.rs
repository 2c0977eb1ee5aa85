//! The command line that continues a rollout: the same one, with the rollout's
//! id, and with `failed:LAST` as it was understood then; or the same for targets by name.

use crate::cli::argv;
use crate::cli::pieces::{Piece, pieces};
use octo_core::base::cli::utc;
use octo_core::base::names::JobId;
use octo_core::targets::fold;
use octo_core::tentacle::spec::{Freezing, Order};

/// The command line of a run, taken apart as far as repeating it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    /// Its words, without the tool's name.
    pub(crate) words: &'a [String],
    /// Where the verb stands: `-t run` is none.
    pub(crate) verb: usize,
    /// So many at the end are the script's own.
    pub(crate) own: usize,
    /// Did it name the job?
    pub(crate) named: bool,
}

impl Words<'_> {
    /// Is the last run among what was selected?
    pub(crate) fn name_last(&self) -> bool {
        self.pieces().any(|piece| piece.names_last())
    }

    /// Would the same words select other targets the next time?
    pub(crate) fn are_fleeting(&self) -> bool {
        self.pieces().any(|piece| piece.is_fleeting())
    }

    /// What is to be pasted; `last` is the run that `failed:LAST` meant. With `targets` it is
    /// for these, whatever selected them.
    pub(crate) fn again(
        &self,
        id: &JobId,
        last: Option<&JobId>,
        targets: Option<&[&str]>,
    ) -> String {
        let mut words: Vec<String> = vec!["octo-push".into()];
        if let Some(names) = targets {
            words.extend(selecting(names));
        }
        for piece in self.pieces() {
            words.extend(match (targets, last) {
                (Some(_), _) => piece.without_selection(),
                (None, Some(last)) => piece.resolved(last),
                (None, None) => piece.as_said(),
            });
            // Right behind the verb, where it can't be taken for the script's own.
            if piece.place == self.verb && !self.named {
                words.extend(["-j".into(), id.to_string()]);
            }
        }
        argv::join(words.iter().map(String::as_str))
    }

    /// The same for these targets alone, with the time that was meant.
    pub(crate) fn narrowed(&self, names: &[&str], order: &Order) -> String {
        let mut words = vec!["octo-push".to_string()];
        words.extend(selecting(names));
        for piece in self.pieces() {
            match order {
                Order::Freezing(Freezing::Freeze { until, .. }) if piece.is("--until") => {
                    words.extend(["--until".into(), utc(*until)]);
                }
                // A share of a few would be another one.
                _ => words.extend(piece.without_selection()),
            }
        }
        argv::join(words.iter().map(String::as_str))
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        pieces(self.words, self.words.len().saturating_sub(self.own))
    }
}

fn selecting(names: &[&str]) -> [String; 2] {
    ["-t".into(), fold(names.iter().copied())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_given_an_order_again_with_the_time_that_was_meant() {
        let until = "2026-12-01T06:00:00Z".parse().expect("a time");
        let (application, reason) = ("shop".to_string(), "x".into());
        let freeze =
            Order::Freezing(Freezing::Freeze { application: application.clone(), until, reason });
        let thaw = Order::Freezing(Freezing::Thaw { application });
        for (line, order, expected) in [
            ("-a freeze shop --until 2h x", &freeze, "freeze shop --until 2026-12-01T06:00:00Z x"),
            (
                "-i id -qat web --shard 1/2 freeze --until=3d shop x -- -a --until",
                &freeze,
                "-i id -q freeze --until 2026-12-01T06:00:00Z shop x -- -a --until",
            ),
            ("-vtweb -a --shard=1/2 thaw shop", &thaw, "-v thaw shop"),
            ("thaw shop --all -tany", &thaw, "thaw shop"),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let said = Words { words: &words, verb: 0, own: 0, named: false };
            let again = said.narrowed(&["web1", "web2"], order);
            assert_eq!(again, format!("octo-push -t 'web[1,2]' {expected}"));
        }
    }

    #[test]
    fn the_verb_the_id_and_the_last_run_are_found() {
        let id = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let last = JobId::parse("20250101T000000-abcdefghijklm").expect("an id");
        for (line, verb, own, named, expected) in [
            ("-t run run x.sh run", 2, 1, false, "-t run run -j ID x.sh run"),
            ("run -jID -c true", 0, 0, true, "run -jID -c true"),
            (
                "-t db,failed:LAST -qxfailed:LAST run x.sh failed:LAST",
                3,
                1,
                false,
                "-t db,failed:LST -qxfailed:LST run -j ID x.sh failed:LAST",
            ),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let said = Words { words: &words, verb, own, named };
            let expected = expected.replace("-j ID", &format!("-j {id}"));
            let expected = expected.replace("LST", last.as_str());
            assert_eq!(said.again(&id, Some(&last), None), format!("octo-push {expected}"));
        }
    }

    #[test]
    fn what_selects_other_targets_the_next_time_is_replaced() {
        let id = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let words = ["-t", "@/dev/fd/63", "-qax", "failed:LAST", "--shard=1/2", "run", "s", "-t"];
        let words = words.map(String::from);
        let said = Words { words: &words, verb: 5, own: 2, named: false };
        let expected = format!("octo-push -t 'web[1,2],db' -q run -j {id} s -t");
        assert_eq!(
            said.again(&id, None, Some(&["web1", "db", "web2"])),
            expected.replace("web[1,2],db", "db,web[1,2]")
        );
    }
}
