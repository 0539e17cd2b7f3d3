//! A case of the oracle, with an image of the oracle's own making.

use oracle_case::child::Tool;
use oracle_case::{Case, Maker, Tools};
use oracle_crash::{Bounds, InProcess, Judge, Options, run_case};
use std::cell::RefCell;
use std::path::PathBuf;

/// How far the crash states of each resize are gone through.
const BOUNDS: Bounds = Bounds { exhaustive: 3, samples: 4, scattered: 1, cuts: 1, calls: 256 };

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::default();
}

/// No state of the case is bad: content, metadata, checks and resizing again, before, after and on the way.
pub fn run(data: &[u8]) {
    let Some(mut case) = std::str::from_utf8(data).ok().and_then(|text| Case::from_json(text).ok()) else {
        return;
    };
    case.fixture.maker = Maker::Own;
    case.legalize();
    if case.fixture.maker != Maker::Own {
        return;
    }
    // An image of the oracle's own making takes no tools.
    let none = || Tool::new(PathBuf::from("/nonexistent"));
    let tools = Tools { qemu_img: none(), qemu_io: none() };
    let options = Options {
        bounds: BOUNDS,
        seed: 1,
        engine: &InProcess,
        engine_faults: 0,
        tools: &tools,
        opinion_every: 0,
        only: None,
    };
    let dir = std::env::temp_dir().join(format!("oracle-case-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir).expect("a directory for the image");
    let report = JUDGE.with_borrow_mut(|judge| run_case(&case, &dir, &options, judge));
    drop(std::fs::remove_dir_all(&dir));
    if let Ok(report) = report {
        assert!(report.bad.is_empty(), "{:#?}\n{}", report.bad, case.to_json());
    }
}
