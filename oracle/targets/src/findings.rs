//! What a campaign finds: one input of each kind, so that no finding hides another.
//!
//! Two panics are of one kind if they come from one line and their messages differ in numbers only.

use crate::smaller::smaller;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// Most letters of a message that tell kinds apart.
const MOST_LETTERS: usize = 300;
/// What is spent on making one input smaller.
const MOST_TIME: Duration = Duration::from_secs(3);

thread_local! {
    /// Where the last panic of this thread was, and what it said.
    static PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// A panic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Panic {
    kind: String,
    text: String,
}

/// What is known of a kind.
#[derive(Debug, Clone)]
struct Found {
    times: u64,
    path: PathBuf,
    len: usize,
    text: String,
}

/// The findings of a campaign. Threads may share it.
#[derive(Debug)]
pub struct Findings {
    dir: PathBuf,
    kinds: Mutex<BTreeMap<String, Found>>,
}

impl Findings {
    /// None yet. Inputs that find something go to `dir`. From here on, panics of this process are kept and not printed.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(dir: &Path) -> std::io::Result<Self> {
        static HOOK: Once = Once::new();
        std::fs::create_dir_all(dir)?;
        HOOK.call_once(|| std::panic::set_hook(Box::new(|info| PANIC.set(Some(Panic::of(info))))));
        Ok(Self { dir: dir.to_owned(), kinds: Mutex::default() })
    }

    /// What `job` makes of `data`, or `None` if it panics; then `data` is kept, if it is the first of its kind, after it was
    /// made smaller. `name` begins the name of its file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn catch<T>(&self, name: &str, data: &[u8], job: impl Fn(&[u8]) -> T) -> std::io::Result<Option<T>> {
        match panics(data, &job) {
            Ok(value) => Ok(Some(value)),
            Err(panic) => self.keep(name, data, panic, &job).map(|()| None),
        }
    }

    fn keep<T>(
        &self,
        name: &str,
        data: &[u8],
        panic: Panic,
        job: impl Fn(&[u8]) -> T,
    ) -> std::io::Result<()> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kinds.len() + 1;
        if let Some(found) = kinds.get_mut(&panic.kind) {
            found.times += 1;
            return Ok(());
        }
        let same = |input: &[u8]| panics(input, &job).is_err_and(|other| other.kind == panic.kind);
        let data = smaller(data, MOST_TIME, same);
        let path = self.dir.join(format!("{name}-{number}"));
        std::fs::write(&path, &data)?;
        kinds.insert(panic.kind, Found { times: 1, path, len: data.len(), text: panic.text });
        Ok(())
    }

    /// Says what was found, each kind with its message, how often it was seen, and a short input.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let line =
            |f: &Found| format!("{} times: {}\n    {} ({} bytes)", f.times, f.text, f.path.display(), f.len);
        kinds.values().map(line).collect()
    }
}

impl Panic {
    fn of(info: &std::panic::PanicHookInfo<'_>) -> Self {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("no message").replace('\n', " ");
        let mut kind = format!("{place}: ");
        for letter in text.chars().take(MOST_LETTERS) {
            match letter.is_ascii_digit() {
                true if kind.ends_with('#') => {}
                true => kind.push('#'),
                false => kind.push(letter),
            }
        }
        Self { kind, text: format!("{place}: {text}") }
    }
}

/// Runs `job`, and says what it panicked with if it did.
fn panics<T>(data: &[u8], job: impl Fn(&[u8]) -> T) -> Result<T, Panic> {
    // What a panic leaves half done is begun anew by the next run: see `memory` and `scratch`.
    catch_unwind(AssertUnwindSafe(|| job(data))).map_err(|_| {
        let unknown = Panic { kind: String::new(), text: "a panic that nobody saw".into() };
        PANIC.take().unwrap_or(unknown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_input_of_each_kind_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let findings = Findings::new(dir.path()).expect("a directory");
        let job = |data: &[u8]| {
            assert!(!data.contains(&7), "a seven among {}", data.len());
            assert!(!data.contains(&9), "a nine");
            data.len()
        };
        for data in [&[1, 2, 3][..], &[1, 7, 2], &[7, 5, 4], &[9, 9, 1], &[2]] {
            let passed = findings.catch("test", data, job).expect("a file");
            assert_eq!(passed, (!data.iter().any(|b| [7, 9].contains(b))).then_some(data.len()));
        }
        let report = findings.report();
        assert_eq!(report.len(), 2, "{report:?}");
        assert!(report[0].starts_with("2 times: ") && report[0].contains("a seven"), "{report:?}");
        assert!(report[1].starts_with("1 times: ") && report[1].contains("a nine"), "{report:?}");
        let kept = |n| std::fs::read(dir.path().join(format!("test-{n}"))).expect("an input");
        assert_eq!((kept(1), kept(2)), (vec![7], vec![9]));
    }
}
