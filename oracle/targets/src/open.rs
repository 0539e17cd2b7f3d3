//! Looking at bytes as an image, and repairing it.

use crate::input::Input;
use crate::scratch;
use crate::watched::Watched;
use instar_ops::{CheckRequest, Format, InfoRequest, Repair, check, info};
use oracle_crash::Image;

/// The longest file, in bytes, that is looked at: a check looks at every cluster.
const MOST_LEN: u64 = 256 << 20;

/// Info and check change nothing and end; a check counts the same twice. A repair that says that nothing is left to repair
/// is right.
pub fn run(format: Option<Format>, data: &[u8]) {
    let Some(Input { mut image, .. }) = Input::decode(data).filter(|input| input.image.len() <= MOST_LEN)
    else {
        return;
    };
    scratch::with(|scratch| {
        let request = InfoRequest { format };
        // Any answer will do.
        let _ = info(&mut Watched::read_only(&mut image), &request, scratch, &mut |_| ());
    });
    let Some(first) = checked(format, Repair::Nothing, &mut image) else { return };
    let again = checked(format, Repair::Nothing, &mut image).expect("the same answer twice");
    assert_eq!(first, again, "two checks of one image");
    for repair in [Repair::Leaks, Repair::All] {
        let mut copy = image.clone();
        let Some(mended) = checked(format, repair, &mut copy) else { continue };
        let left = checked(format, Repair::Nothing, &mut copy).expect("a check of what was repaired");
        let both = [mended, left].map(|report| (report.corruptions, report.check_errors, report.leaks));
        assert_eq!(both[0], both[1], "what {repair:?} says is left, and what a check then finds");
    }
}

type Report = instar_ops::CheckReport;

fn checked(format: Option<Format>, repair: Repair, image: &mut Image) -> Option<Report> {
    let request = CheckRequest { format, repair, ..CheckRequest::default() };
    let mut disk = if repair == Repair::Nothing { Watched::read_only(image) } else { Watched::new(image) };
    let report = scratch::with(|scratch| check(&mut disk, &request, scratch, &mut |_| ())).ok()?;
    Some(report)
}
