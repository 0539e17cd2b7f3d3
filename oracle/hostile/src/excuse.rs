//! Known differences: where instar and qemu-img make something else of a hostile image, and why that is meant.

use crate::{Finding, Spoil};

/// A known difference.
#[derive(Debug, Clone, Copy)]
pub struct Excuse {
    /// Its name in reports.
    pub id: &'static str,
    /// Why it is meant.
    pub reason: &'static str,
    /// The kinds of finding.
    pub kinds: &'static [&'static str],
    /// The fields concerned, by the beginning of their names.
    pub field: &'static str,
    /// What the finding must say.
    pub says: &'static str,
}

/// All of them.
pub const EXCUSES: &[Excuse] = &[
    Excuse {
        id: "own-words",
        reason: "instar says which structure is wrong and where it is, qemu-img which rule it breaks",
        kinds: &["words"],
        field: "",
        says: "Image is corrupt: ",
    },
    Excuse {
        id: "too-big",
        reason: "a size beyond 2^63 is refused as too big, where qemu-img says that it could not refresh its count",
        kinds: &["words"],
        field: "size",
        says: "Image is too big",
    },
    Excuse {
        id: "first-of-two",
        reason: "the image is wrong in two ways, and each side names the one that it looks at first",
        kinds: &["words"],
        field: "incompatible",
        says: "incompatible feature bit",
    },
    Excuse {
        id: "first-of-two",
        reason: "an extension of another length puts the next one where there is none, and each side names the one that it looks at first",
        kinds: &["words"],
        field: "extension-length",
        says: "Header extension too large",
    },
    Excuse {
        id: "broken-logs",
        reason: "an entry of a log that is wrong in any way is none, and the log ends before it; qemu-img looks at less before it replays it, or refuses the image",
        kinds: &["accepted", "content"],
        field: "vhdx-logged-",
        says: "",
    },
    Excuse {
        id: "no-snapshots",
        reason: "where there is no snapshot, where the table would be means nothing to instar",
        kinds: &["exit-code", "accepted"],
        field: "snapshot-offset",
        says: "napshot table offset invalid",
    },
    Excuse {
        id: "check-words",
        reason: "qemu-img check reads the snapshot table after the image was opened, and words it otherwise",
        kinds: &["words"],
        field: "snapshot",
        says: "Check failed: ",
    },
    Excuse {
        id: "other-files",
        reason: "instar check opens no backing file: what it cannot open is no matter",
        kinds: &["exit-code"],
        field: "",
        says: "Could not open backing file",
    },
    Excuse {
        id: "other-files",
        reason: "instar check opens no data file: what it cannot open is no matter",
        kinds: &["exit-code"],
        field: "",
        says: "'data-file' is required for this image",
    },
    Excuse {
        id: "no-refcount-table",
        reason: "an image without a refcount table is refused, where qemu-img counts every cluster as an error",
        kinds: &["exit-code"],
        field: "refcount-table-clusters",
        says: "does not contain a reference count table",
    },
    Excuse {
        id: "beyond-offsets",
        reason: "qemu-img fails to read at an offset beyond 2^63, where instar says what is wrong with it",
        kinds: &["exit-code"],
        field: "",
        says: "0x8000000000",
    },
    Excuse {
        id: "beyond-offsets",
        reason: "qemu-img fails to read at an offset beyond 2^63, where instar only describes the image",
        kinds: &["exit-code"],
        field: "bitmap-table-offset",
        says: "Could not read bitmap_table table",
    },
    Excuse {
        id: "encrypted",
        reason: "instar describes no encrypted image, and checks one without its key",
        kinds: &["exit-code", "json", "words"],
        field: "crypt-method",
        says: "",
    },
    Excuse {
        id: "check-goes-on",
        reason: "a refcount block that cannot be read is a corruption to instar, and the end of the check to qemu-img",
        kinds: &["exit-code"],
        field: "refcount-table",
        says: "here, exit 1 ERROR",
    },
    Excuse {
        id: "bitmaps-of-one-place",
        reason: "qemu-img writes every bitmap anew, which takes two that share a place apart; instar leaves what it need not change",
        kinds: &["worse"],
        field: "bitmap-",
        says: "check finds Corrupt here, Leaking there",
    },
    Excuse {
        id: "luks-wraps",
        reason: "qemu-img adds sectors of LUKS key material up in 32 bits: the end of a slot near their limit seems to lie at the start",
        kinds: &["exit-code"],
        field: "luks-slot-offset",
        says: "is overlapping with the encrypted payload here",
    },
    Excuse {
        id: "luks-words",
        reason: "both refuse the LUKS header, and each names what it meets first in words of its own",
        kinds: &["words"],
        field: "luks-",
        says: "",
    },
    Excuse {
        id: "bounded-check",
        reason: "instar check reads no more L2 tables than the file has clusters, and says that it did not read the rest",
        kinds: &["exit-code"],
        field: "l1-size",
        says: "exit 1 (too long to be kept) here, exit 2 (too long to be kept) there",
    },
    Excuse {
        id: "no-last-cluster",
        reason: "where nothing in the file is in use, instar names no end of what is",
        kinds: &["json"],
        field: "refcount-table",
        says: "image-end-offset: nothing here",
    },
    Excuse {
        id: "data-file-name",
        reason: "instar opens no data file, so that a missing name is no matter",
        kinds: &["exit-code", "json"],
        field: "extension-type",
        says: "data-file",
    },
    Excuse {
        id: "no-data-file",
        reason: "where the image keeps its clusters itself, the name of a data file means nothing to instar",
        kinds: &["json"],
        field: "incompatible",
        says: "format-specific.data.data-file: nothing here",
    },
    Excuse {
        id: "table-on-header",
        reason: "a table in the header's place is refused, where qemu-img opens the image",
        kinds: &["exit-code"],
        field: "",
        says: "offset invalid (0x0)",
    },
    Excuse {
        id: "names-with-zeros",
        reason: "a name is as long as its length says; qemu-img's end at the first zero byte",
        kinds: &["json"],
        field: "",
        says: "\\u0000",
    },
    Excuse {
        id: "prevented-late",
        reason: "qemu-img notices while it writes that a structure which it knows is in the way of another",
        kinds: &["accepted"],
        field: "",
        says: "Marking image as corrupt",
    },
    Excuse {
        id: "grain-over-metadata",
        reason: "a grow of VMDK reads of all tables the last one only: a grain that lies on metadata shows what becomes of them; check names it",
        kinds: &["content"],
        field: "vmdk-first-entry",
        says: "",
    },
    Excuse {
        id: "grain-over-metadata",
        reason: "a second directory that begins where a grain lies gets the tables it lacks: check names both, and qemu-img reads the first directory only",
        kinds: &["content"],
        field: "vmdk-second-directory",
        says: "",
    },
    Excuse {
        id: "flags-stay",
        reason: "qemu-img's shrink copies an L2 table whose L1 entry lacks the flag COPIED, which sets it; instar leaves what it need not change, and check -r mends it",
        kinds: &["worse"],
        field: "l1-first",
        says: "check finds Corrupt here, Clean there",
    },
];

impl Excuse {
    /// Whether it excuses a finding.
    #[must_use]
    pub fn fits(&self, spoil: &Spoil, finding: &Finding) -> bool {
        self.kinds.contains(&finding.kind)
            && spoil.field.name.starts_with(self.field)
            && finding.detail.contains(self.says)
    }
}
