//! Every built fixture is what its case says, and every resize ends as expected: asked of the qemu-img in `PATH`.
//!
//! Without one the trials show as ignored.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::{Ending, Output, Tool};
use oracle_case::{
    Case, Content, FormatOptions, Maker, Outcome, Preallocation, Resize, Step, Tools, Tweak, build,
    expected_content, expected_steps,
};

/// Seeds of each trial.
const SEEDS: usize = 60;

/// Images up to this many bytes are compared whole with a raw file, larger ones by reads.
const COMPARED: u64 = 64 << 30;

/// The largest image of the formats of which qemu-img looks at all bytes.
const COMPARED_SLOWLY: u64 = 256 << 20;

const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let tools = Tools { qemu_img: Tool::new("qemu-img"), qemu_io: Tool::new("qemu-io") };
    let missing = [&tools.qemu_img, &tools.qemu_io]
        .into_iter()
        .find(|tool| tool.run(["--version"], DEADLINE).is_err())
        .map(|tool| format!("{} is not in PATH", tool.program.display()));
    let trials = [
        trial("raw", &tools, missing.as_deref(), |case| case.fixture.format.qcow2().is_none()),
        trial("qcow2_made_by_qemu", &tools, missing.as_deref(), |case| qcow2(case, Maker::Qemu)),
        trial("qcow2_of_our_own", &tools, missing.as_deref(), |case| qcow2(case, Maker::Own)),
    ];
    let others = ["vpc", "vhdx", "vmdk"].map(|format| {
        let cases = (first_seed()..).filter_map(move |seed| Some((seed, Case::from_seed_of(format, seed)?)));
        let cases = cases.filter(|(_, case)| case.fixture.size <= COMPARED_SLOWLY && readable(case));
        trial_of(format, &tools, missing.as_deref(), cases.take(SEEDS / 5))
    });
    libtest_mimic::run(&args, trials.into_iter().chain(others).collect()).exit()
}

/// No qemu-img opens VHDX disks with logical sectors of 4096 bytes.
fn readable(case: &Case) -> bool {
    !case.fixture.format.vhdx().is_some_and(|options| options.large_sectors)
}

fn qcow2(case: &Case, maker: Maker) -> bool {
    case.fixture.format.qcow2().is_some() && case.fixture.maker == maker
}

fn trial(name: &str, tools: &Tools, missing: Option<&str>, keep: fn(&Case) -> bool) -> Trial {
    let cases = (first_seed()..).map(|seed| (seed, Case::from_seed(seed)));
    trial_of(name, tools, missing, cases.filter(move |(_, case)| keep(case)).take(SEEDS))
}

fn trial_of(
    name: &str,
    tools: &Tools,
    missing: Option<&str>,
    cases: impl Iterator<Item = (u64, Case)> + Send + 'static,
) -> Trial {
    if let Some(reason) = missing {
        return Trial::test(format!("{name} [{reason}]"), || Ok(())).with_ignored_flag(true);
    }
    let tools = tools.clone();
    Trial::test(name, move || {
        let mut failures = Vec::new();
        for (seed, case) in cases {
            if let Err(failure) = examine(&case, &tools) {
                failures.push(format!("seed {seed}: {}\n  {failure}\n  {}", case.describe(), case.to_json()));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(Failed::from(failures.join("\n"))) }
    })
}

/// `CASE_SEED` begins elsewhere than at 0.
fn first_seed() -> u64 {
    std::env::var("CASE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

fn examine(case: &Case, tools: &Tools) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let image = build(&case.fixture, dir.path(), tools).map_err(|error| error.to_string())?;
    let image = Image { path: &image, format: &case.fixture.format, tools };
    let damaged = case.fixture.tweaks.iter().any(Tweak::needs_opening);
    let leaky = case.fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Leak { .. }));
    if !damaged {
        image.check(leaky)?;
    }
    image.holds(&expected_content(&case.fixture), &[])?;
    if case.fixture.format.is_unresized() {
        return Ok(());
    }
    for (resize, step) in case.resizes.iter().zip(expected_steps(case)) {
        image.resize(resize, &step).map_err(|error| format!("{resize:?}: {error}"))?;
    }
    if damaged { Ok(()) } else { image.check(leaky) }
}

struct Image<'a> {
    path: &'a Path,
    format: &'a FormatOptions,
    tools: &'a Tools,
}

impl Image<'_> {
    fn check(&self, leaky: bool) -> Result<(), String> {
        if !self.format.is_checked() {
            return Ok(());
        }
        let output = self.run(&self.tools.qemu_img, &["check"], true, &[])?;
        let clean = if leaky { Ending::Exit(3) } else { Ending::Exit(0) };
        if output.ending == clean { Ok(()) } else { Err(format!("check: {}", said(&output))) }
    }

    fn resize(&self, resize: &Resize, step: &Step) -> Result<(), String> {
        let mut options = vec!["resize", "-q"];
        if resize.shrink {
            options.push("--shrink");
        }
        match resize.preallocation {
            Preallocation::Off => {}
            Preallocation::Metadata => options.push("--preallocation=metadata"),
            Preallocation::Falloc => options.push("--preallocation=falloc"),
            Preallocation::Full => options.push("--preallocation=full"),
        }
        let output = self.run(&self.tools.qemu_img, &options, resize.name_format, &[&resize.size])?;
        let expected = match step.outcome {
            Outcome::Resized => Ending::Exit(0),
            Outcome::Refused(_) => Ending::Exit(1),
        };
        if output.ending != expected {
            return Err(format!("{:?} expected: {}", step.outcome, said(&output)));
        }
        let length = std::fs::metadata(self.path).map_or(0, |data| data.len());
        if *self.format == FormatOptions::Raw && length != step.length {
            return Err(format!("length {length}, not {}", step.length));
        }
        let hidden: Vec<_> = step.stale.iter().chain(&step.reused).cloned().collect();
        self.holds(&step.content, &hidden)
    }

    /// Compares the whole content, bytes that may be stale excepted.
    fn holds(&self, content: &Content, stale: &[Range<u64>]) -> Result<(), String> {
        let info = self.run(&self.tools.qemu_img, &["info", "--output=json"], true, &[])?;
        let size = format!("\"virtual-size\": {}", content.size());
        if !info.stdout_text().contains(&size) {
            return Err(format!("info without {size}: {}", said(&info)));
        }
        if content.size() > COMPARED || !stale.is_empty() {
            return self.reads(content, stale);
        }
        let truth = self.path.with_extension("truth");
        write_raw(content, &truth).map_err(|error| error.to_string())?;
        let truth = truth.to_string_lossy();
        let output = if self.format.is_encrypted() {
            let other = format!("driver=raw,file.filename={truth}");
            self.run(&self.tools.qemu_img, &["compare"], true, &[&other])?
        } else {
            self.run(&self.tools.qemu_img, &["compare", "-F", "raw"], true, &[&truth])?
        };
        if output.success() { Ok(()) } else { Err(format!("compare: {}", said(&output))) }
    }

    /// Runs `tool` with the image named between `options` and `last`, its format, too, if it is `named`.
    fn run(&self, tool: &Tool, options: &[&str], named: bool, last: &[&str]) -> Result<Output, String> {
        let (opening, file) = self.format.opening(&self.path.to_string_lossy(), named);
        let mut command = tool.command(options.iter().copied());
        // Where the name of a data file is read from.
        let dir = self.path.parent().unwrap_or(Path::new("."));
        command.args(opening).arg(file).args(last).current_dir(dir);
        oracle_case::child::run(command, DEADLINE).map_err(|error| error.to_string())
    }

    /// Reads every extent, and some zeros before and after it.
    fn reads(&self, content: &Content, stale: &[Range<u64>]) -> Result<(), String> {
        let mut options = vec!["-r".to_owned()];
        let mut read = |offset: u64, len: u64, byte: u8| {
            let stale = stale.iter().any(|range| range.start < offset + len && offset < range.end);
            if len > 0 && !stale {
                options.extend(["-c".into(), format!("read -q -P {byte} {offset} {len}")]);
            }
        };
        let mut before = 0;
        for extent in content.extents() {
            let gap = (extent.offset - before).min(65536);
            read(extent.offset - gap, gap, 0);
            read(extent.offset, extent.len, extent.byte);
            before = extent.offset + extent.len;
        }
        read(before, (content.size() - before).min(65536), 0);
        if !options.contains(&"-c".to_owned()) {
            return Ok(());
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let output = self.run(&self.tools.qemu_io, &options, true, &[])?;
        if output.success() && output.stdout.is_empty() {
            Ok(())
        } else {
            Err(format!("read: {}", said(&output)))
        }
    }
}

fn write_raw(content: &Content, path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    file.set_len(content.size())?;
    for extent in content.extents() {
        let data = vec![extent.byte; usize::try_from(extent.len).unwrap_or(0)];
        file.write_all_at(&data, extent.offset)?;
    }
    Ok(())
}

fn said(output: &Output) -> String {
    format!("{:?} {}{}", output.ending, output.stdout_text(), output.stderr_text())
}
