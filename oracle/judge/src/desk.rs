//! Questions to tools about images, each asked once: images with the same bytes get the same answer.

use crate::subject::{Family, IMAGE, Qemu, Ran, Subject, run_tool};
use crate::{JudgeError, State};
use oracle_case::parts::DATA_FILE;
use oracle_case::secret::SECRET;
use oracle_case::{Case, Fixture};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Asks, and remembers, during the trials of one case.
pub struct Desk<'a> {
    case: &'a Case,
    dir: &'a Path,
    readers: Vec<&'a Qemu>,
    common: bool,
    answers: RefCell<HashMap<String, Rc<Answer>>>,
    scratch: RefCell<u32>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// As it came.
    pub ran: Ran,
    /// Its standard output if that is JSON.
    pub json: Option<Value>,
}

impl<'a> Desk<'a> {
    /// A desk for `case` that may use `dir` and ask `readers`.
    #[must_use]
    pub fn new(case: &'a Case, dir: &'a Path, readers: &[&'a Qemu]) -> Self {
        let able = |q: &&&Qemu| q.unable(&case.fixture).is_none();
        let mut readers: Vec<&Qemu> = readers.iter().filter(able).copied().collect();
        readers.sort_by_key(|q| q.version());
        Self { case, dir, readers, common: false, answers: RefCell::default(), scratch: RefCell::new(0) }
    }

    /// The same, for a pair whose images neither side may read for the other.
    #[must_use]
    pub fn with_common_reader(self) -> Self {
        Self { common: true, ..self }
    }

    /// Who reads both images of a pair: the newest reader if it is to be a common one, or else the
    /// pair's right side, a qemu-img.
    #[must_use]
    pub fn reader(&self, right: &'a dyn Subject) -> Option<&'a dyn Subject> {
        if !self.common {
            return Some(right);
        }
        let newest = self.newest()?;
        Some(newest)
    }

    /// The newest qemu-img that can read the images of this case.
    #[must_use]
    pub fn newest(&self) -> Option<&'a Qemu> {
        self.readers.last().copied()
    }

    /// Every qemu-img that can read the images of this case, oldest first.
    pub fn readers(&self) -> impl Iterator<Item = &'a Qemu> {
        self.readers.iter().copied()
    }

    /// A qemu-img that writes such images, another one from case to case, so that a campaign asks all of them.
    #[must_use]
    pub fn writer(&self) -> Option<&'a Qemu> {
        let writers: Vec<_> = self.readers().filter(|qemu| qemu.writes(&self.case.fixture)).collect();
        let text = serde_json::to_string(self.case).unwrap_or_default();
        let sum: usize = text.bytes().map(usize::from).sum();
        let index = sum.checked_rem(writers.len())?;
        writers.get(index).copied()
    }

    /// A new empty directory.
    ///
    /// # Errors
    /// [`JudgeError::Io`].
    pub fn scratch(&self) -> Result<PathBuf, JudgeError> {
        let n = self.scratch.replace_with(|n| *n + 1);
        let dir = self.dir.join(format!("scratch{n}"));
        std::fs::create_dir_all(&dir).map_err(JudgeError::io(&dir))?;
        Ok(dir)
    }

    /// `info --output=json` of an image. instar is asked for the schema of `schema`.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    pub fn info(
        &self,
        who: &dyn Subject,
        image: &State,
        schema: Option<&dyn Subject>,
    ) -> Result<Rc<Answer>, JudgeError> {
        let mut options = Vec::new();
        if let (Family::Instar, Some(version)) = (who.family(), schema.and_then(Subject::version)) {
            options.extend(["--qemu-version".into(), version.to_string()]);
        }
        self.ask(who, "info", &options, image)
    }

    /// `check --output=json` of an image.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    pub fn check(&self, who: &dyn Subject, image: &State) -> Result<Rc<Answer>, JudgeError> {
        self.ask(who, "check", &[], image)
    }

    /// `map --output=json` of an image.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    pub fn map(&self, who: &Qemu, image: &State) -> Result<Rc<Answer>, JudgeError> {
        self.ask(who, "map", &[], image)
    }

    fn ask(
        &self,
        who: &dyn Subject,
        verb: &str,
        options: &[String],
        image: &State,
    ) -> Result<Rc<Answer>, JudgeError> {
        let format = &self.case.fixture.format;
        // What an image says of itself needs no passphrase.
        let (mut args, file) = match verb {
            "info" => (vec!["-f".into(), format.name().into()], IMAGE.into()),
            _ => format.opening(IMAGE, true),
        };
        args.push("--output=json".into());
        args.extend_from_slice(options);
        args.push(file);
        let key = format!("{} {verb} {options:?} {}", who.name(), image.fingerprint);
        self.remembered(key, || who.run(&image.dir, verb, &args))
    }

    /// Whether `who` finds the same content in both images, the second of which has the format `format`.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    pub fn compare(&self, who: &Qemu, a: &State, b: &State, format: &str) -> Result<Rc<Answer>, JudgeError> {
        let fixture = &self.case.fixture;
        let own = fixture.format.name();
        let args: Vec<String> = if fixture.data_file.is_some() || fixture.format.is_encrypted() {
            // A data file that an image names is looked for where the reader is, not where the image is.
            let named = [with_options(fixture, own, a), with_options(fixture, format, b)];
            ["--object", SECRET, "--image-opts"].map(Into::into).into_iter().chain(named).collect()
        } else {
            let other = b.path().display().to_string();
            ["-f", own, "-F", format, IMAGE, &other].map(Into::into).into()
        };
        let key = format!("{} compare {} {format} {}", who.name(), a.fingerprint, b.fingerprint);
        self.remembered(key, || who.run(&a.dir, "compare", &args))
    }

    /// Lets the `qemu-io` of `who` write to the image in `dir`, which is a copy made for that; `None`
    /// if it has none.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    pub fn write(&self, who: &Qemu, dir: &Path, commands: &[String]) -> Result<Option<Ran>, JudgeError> {
        self.io(who, dir, &[], commands)
    }

    /// Lets the `qemu-io` of `who` read `image`, which is opened read-only: opening for writing alone
    /// would change it.
    ///
    /// # Errors
    /// [`JudgeError::Spawn`].
    pub fn read(&self, who: &Qemu, image: &State, commands: &[String]) -> Result<Option<Ran>, JudgeError> {
        self.io(who, &image.dir, &["-r"], commands)
    }

    fn io(
        &self,
        who: &Qemu,
        dir: &Path,
        options: &[&str],
        commands: &[String],
    ) -> Result<Option<Ran>, JudgeError> {
        let Some(tool) = who.io() else {
            return Ok(None);
        };
        let (mut args, image) = self.case.fixture.format.opening(IMAGE, true);
        args.extend(options.iter().map(ToString::to_string));
        for command in commands {
            args.extend(["-c".into(), command.clone()]);
        }
        args.push(image);
        run_tool(tool, dir, args).map(Some)
    }

    fn remembered(
        &self,
        key: String,
        ask: impl FnOnce() -> Result<Ran, JudgeError>,
    ) -> Result<Rc<Answer>, JudgeError> {
        if let Some(answer) = self.answers.borrow().get(&key) {
            return Ok(Rc::clone(answer));
        }
        let ran = ask()?;
        let json = serde_json::from_str(&ran.stdout).ok();
        let answer = Rc::new(Answer { ran, json });
        self.answers.borrow_mut().insert(key, Rc::clone(&answer));
        Ok(answer)
    }
}

/// An image in the words of `--image-opts`, with the data file that lies next to it if there is one, and the key of the
/// images of `fixture`.
fn with_options(fixture: &Fixture, format: &str, image: &State) -> String {
    let escaped = |path: PathBuf| path.display().to_string().replace(',', ",,");
    let mut text = format!("driver={format},file.driver=file,file.filename={}", escaped(image.path()));
    let data = image.dir.join(DATA_FILE);
    if format == "qcow2" && data.exists() {
        text += &format!(",data-file.driver=file,data-file.filename={}", escaped(data));
    }
    if let Some(key) = fixture.format.key_option().filter(|_| format == fixture.format.name()) {
        text += &format!(",{key}=s");
    }
    text
}
