//! Looking at bytes as an image, and repairing it.

use crate::input::Input;
use crate::memory::{self, Memory};
use crate::scratch;
use crate::watched::Watched;
use instar_ops::{CheckReport, CheckRequest, Format, InfoRequest, Repair, check, info};

/// The longest file, in bytes, that is looked at: a check looks at every cluster.
const MOST_LEN: u64 = 256 << 20;

/// Info and check change nothing and end; a check counts the same twice. A repair that says that nothing is left to repair
/// is right.
pub fn run(format: Option<Format>, data: &[u8]) {
    if Input::file_len(data).is_none_or(|len| len > MOST_LEN) {
        return;
    }
    memory::with(|image| {
        if Input::decode(data, image).is_some() {
            opened(format, image);
        }
    });
}

fn opened(format: Option<Format>, image: &mut Memory) {
    scratch::with(|scratch| {
        let request = InfoRequest { format };
        // Any answer will do.
        let _ = info(&mut Watched::read_only(image), &request, scratch, &mut |_| ());
    });
    let Some(first) = checked(format, Repair::Nothing, image) else { return };
    let again = checked(format, Repair::Nothing, image).expect("the same answer twice");
    assert_eq!(first, again, "two checks of one image");
    for repair in [Repair::Leaks, Repair::All] {
        let mended = checked(format, repair, image);
        if let Some(mended) = mended {
            let left = checked(format, Repair::Nothing, image).expect("a check of what was repaired");
            let both = [mended, left].map(|report| (report.corruptions, report.check_errors, report.leaks));
            assert_eq!(both[0], both[1], "what {repair:?} says is left, and what a check then finds");
        }
        image.rewind();
    }
}

fn checked(format: Option<Format>, repair: Repair, image: &mut Memory) -> Option<CheckReport> {
    let request = CheckRequest { format, repair, ..CheckRequest::default() };
    let mut disk = if repair == Repair::Nothing { Watched::read_only(image) } else { Watched::new(image) };
    let report = scratch::with(|scratch| check(&mut disk, &request, scratch, &mut |_| ())).ok()?;
    Some(report)
}
