//! Writes the cases of seeds as files: `cargo run -p oracle-case --example cases -- DIR FIRST-SEED COUNT [FEATURE...]`.
//! With features, only cases that have one.

use oracle_case::Case;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [dir, first, count, features @ ..] = words.as_slice() else {
        eprintln!("cases DIR FIRST-SEED COUNT [FEATURE...]");
        return ExitCode::from(2);
    };
    let (Ok(first), Ok(count)) = (first.parse::<u64>(), count.parse::<usize>()) else {
        eprintln!("cases: FIRST-SEED and COUNT are numbers");
        return ExitCode::from(2);
    };
    let wanted = |case: &Case| {
        features.is_empty() || features.iter().any(|name| case.features().contains(name.as_str()))
    };
    let cases = (first..).map(|seed| (seed, Case::from_seed(seed))).filter(|(_, case)| wanted(case));
    for (seed, case) in cases.take(count) {
        let path = PathBuf::from(dir).join(format!("{seed}.json"));
        if let Err(error) = std::fs::write(&path, case.to_json() + "\n") {
            eprintln!("cases: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
