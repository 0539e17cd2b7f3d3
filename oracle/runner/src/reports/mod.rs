//! Reports in files: `--report html=PATH,json=PATH,junit=PATH`, and the summary of a GitHub job.

mod details;
mod html;
mod junit;
mod opened;
mod summary;
mod table;

use crate::json;
use crate::keep::Kept;
use crate::run::Outcome;
use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The variable that names the file to which a GitHub job's summary is appended.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// A report that was asked for.
#[derive(Debug, Clone)]
pub struct Report {
    form: Form,
    path: PathBuf,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Html,
    Json,
    Junit,
}

impl FromStr for Report {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (form, path) = word.split_once('=').ok_or("expected FORM=PATH")?;
        let form = match form {
            "html" => Form::Html,
            "json" => Form::Json,
            "junit" => Form::Junit,
            other => return Err(format!("there is no form {other}: html, json or junit")),
        };
        Ok(Self { form, path: path.into() })
    }
}

/// Writes the reports that were asked for, and a job's summary where there is a place for one.
///
/// # Errors
/// A file cannot be written.
pub fn write(outcome: &Outcome, kept: &[Kept], wanted: &[Report]) -> Result<()> {
    for report in wanted {
        let text = match report.form {
            Form::Html => html::page(outcome, kept),
            Form::Json => json::text(outcome, kept, true)?,
            Form::Junit => junit::text(outcome)?,
        };
        put(&report.path, &text)?;
    }
    match std::env::var_os(SUMMARY) {
        Some(path) if !path.is_empty() => append(Path::new(&path), &summary::text(outcome, kept)),
        _ => Ok(()),
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    let context = || path.display().to_string();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    fs::write(path, text).with_context(context)
}

fn append(path: &Path, text: &str) -> Result<()> {
    let file = fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_form_and_a_path() {
        let report: Report = "junit=a=b.xml".parse().unwrap();
        assert!(matches!(report.form, Form::Junit));
        assert_eq!(report.path, Path::new("a=b.xml"));
        assert!("pdf=x".parse::<Report>().unwrap_err().contains("no form pdf"));
        assert!("x.html".parse::<Report>().is_err());
    }
}
