//! A subject that may hang: it is given so much time for each command, and so many chances.

use oracle_case::Fixture;
use oracle_case::child::{Ending, Tool};
use oracle_judge::subject::{Ran, run_tool_within};
use oracle_judge::{Family, JudgeError, Subject, Version};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many commands may run out of time before a subject is given no further case: a thousand cases
/// of half a minute each would take a night to say the same.
const CHANCES: usize = 4;

/// A subject with a deadline for each of its commands.
pub struct Patient {
    subject: Box<dyn Subject>,
    deadline: Duration,
    late: AtomicUsize,
}

impl Patient {
    /// Each command of `subject` may take `deadline`.
    pub fn new(subject: Box<dyn Subject>, deadline: Duration) -> Self {
        Self { subject, deadline, late: AtomicUsize::new(0) }
    }
}

impl Subject for Patient {
    fn name(&self) -> &str {
        self.subject.name()
    }

    fn version(&self) -> Option<&Version> {
        self.subject.version()
    }

    fn tool(&self) -> &Tool {
        self.subject.tool()
    }

    fn options(&self) -> &[String] {
        self.subject.options()
    }

    fn family(&self) -> Family {
        self.subject.family()
    }

    fn unable(&self, fixture: &Fixture) -> Option<String> {
        if self.late.load(Ordering::SeqCst) >= CHANCES {
            return Some(format!(
                "{} ran out of time {CHANCES} times and is not asked any more",
                self.name()
            ));
        }
        self.subject.unable(fixture)
    }

    fn lacks(&self, verb: &str) -> bool {
        self.subject.lacks(verb)
    }

    fn run(&self, dir: &Path, verb: &str, args: &[String]) -> Result<Ran, JudgeError> {
        let mut words = vec![verb.to_string()];
        words.extend(self.options().iter().chain(args).cloned());
        let ran = run_tool_within(self.deadline, self.tool(), dir, words)?;
        if ran.ending == Ending::TimedOut {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
        Ok(ran)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle_judge::Instar;

    #[test]
    fn who_hangs_is_given_up_after_a_few_chances() {
        let mut shell = Tool::new("/bin/sh");
        shell.leading_args = vec!["-c".into(), "exec sleep 60".into()];
        let hanging = Instar::new(shell, "in-process");
        let patient = Patient::new(Box::new(hanging), Duration::from_millis(20));
        let fixture = Fixture::new(oracle_case::FormatOptions::Raw, 512);
        for _ in 0..CHANCES {
            assert_eq!(patient.unable(&fixture), None);
            let ran = patient.run(Path::new("/"), "resize", &[]).unwrap();
            assert_eq!(ran.ending, Ending::TimedOut);
        }
        assert!(patient.unable(&fixture).is_some());
    }
}
