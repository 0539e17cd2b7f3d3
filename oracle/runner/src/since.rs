//! What instar answered to each case when everything agreed: of a changed instar, only the cases that it now answers
//! otherwise have to be judged again.
//!
//! A fixture and the answers to it lie in a directory for each case. The answers are those that a case asks for: what
//! every resize said and left, what `info` and `check` say of the image before and at the end, and a new image of the same
//! options. Whatever else an oracle asks is not among them, so an instar that differs only there passes for unchanged.

use crate::campaign::{self, Job};
use crate::equipment::Equipment;
use crate::run::in_directory;
use anyhow::{Context, Result};
use oracle_case::Case;
use oracle_judge::subject::{IMAGE, Ran, create_args};
use oracle_judge::{State, Subject, identity, record};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lies in the directory once every case in it has agreed.
const COMPLETE: &str = "complete";

/// A directory with answers.
pub struct Since {
    dir: PathBuf,
    threads: usize,
}

impl Since {
    /// The answers in `dir`, which need not be there yet; `threads` cases at a time are looked at, 0 for one per
    /// processor.
    pub fn new(dir: &Path, threads: usize) -> Self {
        Self { dir: dir.to_path_buf(), threads }
    }

    /// Whether there are answers to compare with.
    pub fn is_complete(&self) -> bool {
        self.dir.join(COMPLETE).exists()
    }

    /// Keeps fixtures and answers of these cases.
    ///
    /// # Errors
    /// A case could not be run.
    pub fn keep(&self, equipment: &Equipment, jobs: &[Job]) -> Result<()> {
        let one = |(i, job): (usize, &Job)| -> Result<()> {
            let dir = self.dir.join(i.to_string());
            // What an earlier attempt left is made anew.
            drop(std::fs::remove_dir_all(&dir));
            std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            let fixture = campaign::fixture(equipment, &job.case, &dir).context(job.label.clone())?;
            let said = answers(equipment, &job.case, &fixture, &dir.join("now"))?;
            std::fs::write(dir.join("case.json"), job.case.to_json())?;
            Ok(std::fs::write(dir.join("answers"), said)?)
        };
        self.pool()?.install(|| jobs.par_iter().enumerate().try_for_each(one))
    }

    /// Everything that was kept agreed.
    ///
    /// # Errors
    /// That cannot be written down.
    pub fn complete(&self) -> Result<()> {
        Ok(std::fs::write(self.dir.join(COMPLETE), "")?)
    }

    /// Those of `jobs` that are answered otherwise now, or were not asked then; no more than `most`.
    ///
    /// # Errors
    /// An answer could not be read or had.
    pub fn changed(&self, equipment: &Equipment, jobs: Vec<Job>, most: usize) -> Result<Vec<Job>> {
        let found = AtomicUsize::new(0);
        let one = |(i, job): (usize, Job)| -> Result<Option<Job>> {
            if found.load(Ordering::Relaxed) >= most || !self.is_changed(equipment, i, &job)? {
                return Ok(None);
            }
            found.fetch_add(1, Ordering::Relaxed);
            Ok(Some(job))
        };
        let changed: Result<Vec<_>> =
            self.pool()?.install(|| jobs.into_par_iter().enumerate().with_max_len(1).map(one).collect());
        Ok(changed?.into_iter().flatten().collect())
    }

    fn is_changed(&self, equipment: &Equipment, i: usize, job: &Job) -> Result<bool> {
        let dir = self.dir.join(i.to_string());
        let Ok(case) = std::fs::read_to_string(dir.join("case.json")) else { return Ok(true) };
        if case != job.case.to_json() {
            return Ok(true);
        }
        let then = std::fs::read_to_string(dir.join("answers"))?;
        let fixture = State::of(dir.join("fixture"))?;
        Ok(answers(equipment, &job.case, &fixture, &dir.join("now"))? != then)
    }

    fn pool(&self) -> Result<rayon::ThreadPool> {
        Ok(rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?)
    }
}

/// What every instar answers, in a text that is the same whenever they answer the same.
fn answers(equipment: &Equipment, case: &Case, fixture: &State, dir: &Path) -> Result<String> {
    let mut text = String::new();
    for instar in &equipment.instars {
        in_directory(dir, || {
            let record = record(instar, case, fixture, dir)?;
            for step in &record.steps {
                add(&mut text, "resize", &step.ran);
                text += &format!("{} {}\n", step.after.fingerprint, step.after.len);
            }
            for (name, image) in [("before", fixture), ("after", record.last())] {
                let copy = dir.join(name);
                image.copy_to(&copy)?;
                for verb in ["info", "check"] {
                    let words = ["--output=json", "-f", case.fixture.format.name(), IMAGE];
                    add(&mut text, verb, &instar.run(&copy, verb, &words.map(Into::into))?);
                }
            }
            create(&mut text, instar, case, &dir.join("created"))
        })?;
    }
    Ok(text)
}

/// What it creates of the case's options, identities aside.
fn create(text: &mut String, instar: &dyn Subject, case: &Case, dir: &Path) -> Result<()> {
    let format = &case.fixture.format;
    let args = create_args(&case.fixture, case.fixture.size);
    std::fs::create_dir_all(dir)?;
    let ran = instar.run(dir, "create", &args)?;
    add(text, "create", &ran);
    if ran.success() {
        identity::blank(dir, format, false)?;
        let made = State::of(dir)?;
        *text += &format!("{} {}\n", made.fingerprint, made.len);
    }
    Ok(())
}

fn add(text: &mut String, verb: &str, ran: &Ran) {
    *text += &format!("{verb}: {:?}\n{}{}", ran.ending, ran.stdout, ran.stderr);
}
