//! Everything that is kept in `corpus/` for a target, put to it again. A target without seeds is an error: it would be
//! fuzzed from nothing.

use libtest_mimic::{Arguments, Failed, Trial};
use oracle_targets::ALL;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let trials = ALL.iter().map(|target| {
        let seeds = seeds(&corpus.join(target.name));
        Trial::test(format!("{} ({})", target.name, target.about), move || {
            let seeds = seeds?;
            if seeds.is_empty() {
                return Err(Failed::from("no seeds"));
            }
            for path in seeds {
                let data = std::fs::read(&path)?;
                std::panic::catch_unwind(|| (target.run)(&data))
                    .map_err(|_| Failed::from(format!("{}: the panic is above", path.display())))?;
            }
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn seeds(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}
