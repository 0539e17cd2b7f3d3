//! The descriptor, with lines that nobody knows in places where they may be.

use super::SECTOR;
use crate::build::unresized::Image;
use crate::{Adapter, Oddity, Vmdk};

/// Sectors of a track.
const TRACK: u64 = 63;

/// The descriptor around the lines of the extents, sometimes with line ends of another kind.
pub fn descriptor(image: &mut Image, options: &Vmdk, extents: &str) -> String {
    let heads = if options.adapter == Adapter::Ide { 16 } else { 255 };
    let cylinders = image.content.size() / SECTOR / heads / TRACK;
    let cid = image.rng.next_u64() & 0x7fff_ffff | 1;
    let (adapter, kind) = (options.adapter.name(), options.subformat.name());
    let mut sometimes = |line| if image.once_in(2, Oddity::Extras) { line } else { "" };
    let encoding = sometimes("encoding=\"windows-1252\"\n");
    let before = sometimes("# Nobody knows this line.\n");
    let last = sometimes("ddb.longContentID = \"0123456789abcdef0123456789abcdef\"\n\n# The end.\n");
    // libvmdk opens no disk with a comment in this place.
    let behind = if image.once_in(6, Oddity::Extras) { "# Nor this one.\n\n" } else { "" };
    let text = format!(
        "# Disk DescriptorFile\nversion=1\n{encoding}CID={cid:x}\nparentCID=ffffffff\ncreateType=\"{kind}\"\n\n\
         {before}# Extent description\n{extents}\n{behind}\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.strange = \"stays\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"{heads}\"\n\
         ddb.geometry.sectors = \"{TRACK}\"\nddb.adapterType = \"{adapter}\"\n{last}"
    );
    if image.once_in(3, Oddity::Extras) { text.replace('\n', "\r\n") } else { text }
}
