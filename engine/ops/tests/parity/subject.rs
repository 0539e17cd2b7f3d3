//! What each side says of an image, in the same words.

use instar_ops::disk::{Direction, IoError};
use instar_ops::{
    Bitmap, CheckReport, CheckRequest, Disk, Format, ImageInfo, InfoItem, InfoRequest, Name, OpError, ReadAt,
    Repair, SCRATCH_LEN,
};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// An image file.
pub struct FileDisk {
    file: File,
    len: u64,
}

impl FileDisk {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl ReadAt for FileDisk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        buf.fill(0);
        let failed = |_| IoError { direction: Direction::Read, offset, len: buf.len() as u64, errno: 0 };
        let len = self.file.metadata().map_err(failed)?.len();
        let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        self.file.read_exact_at(&mut buf[..there], offset).map_err(|_| IoError {
            direction: Direction::Read,
            offset,
            len: there as u64,
            errno: 0,
        })
    }
}

impl Disk for FileDisk {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let failed = IoError { direction: Direction::Write, offset, len: data.len() as u64, errno: 0 };
        self.file.write_all_at(data, offset).map_err(|_| failed)
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        self.write_at(offset, &vec![0; usize::try_from(len).unwrap_or(0)])
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

/// The counts of a check as `qemu-img check --output=json` names them, or `None` if the image was refused.
pub type Counts = Option<[u64; 8]>;

const NAMES: [&str; 8] = [
    "check-errors",
    "corruptions",
    "leaks",
    "image-end-offset",
    "total-clusters",
    "allocated-clusters",
    "fragmented-clusters",
    "compressed-clusters",
];

/// What `qemu-img check` would exit with.
pub fn exit_code(counts: &Counts) -> u8 {
    match *counts {
        None => 1,
        Some([errors, ..]) if errors > 0 => 1,
        Some([_, corruptions, ..]) if corruptions > 0 => 2,
        Some([_, _, leaks, ..]) if leaks > 0 => 3,
        Some(_) => 0,
    }
}

/// Repairs the image as `qemu-img check -r` would.
pub fn repair(disk: &mut FileDisk, repair: Repair) -> Result<CheckReport, OpError> {
    let mut scratch = vec![0; SCRATCH_LEN];
    let request = CheckRequest { format: Some(Format::Qcow2), repair, ..CheckRequest::default() };
    instar_ops::check(disk, &request, &mut scratch, &mut |_| {})
}

pub fn check(disk: &mut FileDisk) -> Counts {
    let mut scratch = vec![0; SCRATCH_LEN];
    let mut told = 0_u64;
    let request = CheckRequest { format: Some(Format::Qcow2), ..CheckRequest::default() };
    let r = instar_ops::check(disk, &request, &mut scratch, &mut |_| told += 1).ok()?;
    let told_apart = told - told.min(r.check_errors);
    assert!(
        told_apart <= r.corruptions + r.leaks && told >= r.corruptions + r.leaks,
        "every finding is told"
    );
    Some([
        r.check_errors,
        r.corruptions,
        r.leaks,
        r.image_end_offset,
        r.total_clusters,
        r.allocated_clusters,
        r.fragmented_clusters,
        r.compressed_clusters,
    ])
}

pub fn qemu_check(file: &Path) -> Result<Counts, Box<dyn Error>> {
    // QEMU looks for a data file in the current directory.
    let dir = file.parent().unwrap_or(file);
    let args = ["check", "-f", "qcow2", "--output=json"];
    let out = Command::new("qemu-img").args(args).arg(file).current_dir(dir).output()?;
    let counts = serde_json::from_slice::<Value>(&out.stdout)
        .ok()
        .map(|json| NAMES.map(|name| json.get(name).and_then(Value::as_u64).unwrap_or(0)));
    let code = out.status.code();
    if code != Some(i32::from(exit_code(&counts))) {
        return Err(format!("qemu-img exits with {code:?} and says {counts:?}").into());
    }
    Ok(counts)
}

pub fn info(disk: &mut FileDisk) -> Option<Value> {
    let mut scratch = vec![0; SCRATCH_LEN];
    let (mut snapshots, mut bitmaps) = (vec![], vec![]);
    let mut item = |item| match item {
        InfoItem::Snapshot(s) => snapshots.push(json!({
            "id": text(&s.id), "name": text(&s.name), "vm-state-size": s.vm_state_size,
            "date-sec": s.date_sec, "date-nsec": s.date_nsec, "icount": s.icount,
        })),
        InfoItem::Bitmap(b) => bitmaps.push(json!({
            "name": text(&b.name), "granularity": b.granularity,
            "flags": flags(&b),
        })),
        InfoItem::Extent(_) => {}
    };
    let image = instar_ops::info(disk, &InfoRequest::default(), &mut scratch, &mut item).ok()?;
    Some(json!({ "snapshots": snapshots, "bitmaps": bitmaps, "image": fields(&image) }))
}

fn flags(b: &Bitmap) -> Vec<&'static str> {
    let flags = [b.in_use.then_some("in-use"), b.auto.then_some("auto")];
    flags.into_iter().flatten().collect()
}

fn fields(i: &ImageInfo) -> Value {
    let q = i.qcow2.as_ref();
    let v3 = q.filter(|q| q.version == 3);
    json!({
        "virtual-size": i.virtual_size, "cluster-size": i.cluster_size, "dirty-flag": i.dirty,
        "backing-filename": optional(&i.backing_file), "backing-filename-format": optional(&i.backing_format),
        "compat": q.map(|q| if q.version == 2 { "0.10" } else { "1.1" }),
        "compression-type": q.map(|q| if q.zstd { "zstd" } else { "zlib" }),
        "refcount-bits": q.map(|q| q.refcount_bits),
        "lazy-refcounts": v3.map(|q| q.lazy_refcounts), "corrupt": v3.map(|q| q.corrupt),
        "extended-l2": v3.map(|q| q.extended_l2),
        "data-file": q.and_then(|q| q.data_file.as_ref()).map(text),
        "data-file-raw": q.and_then(|q| q.data_file.as_ref().map(|_| q.data_file_raw)),
    })
}

pub fn qemu_info(file: &Path) -> Result<Option<Value>, Box<dyn Error>> {
    let out = Command::new("qemu-img").args(["info", "--output=json"]).arg(file).output()?;
    let Ok(json) = serde_json::from_slice::<Value>(&out.stdout) else { return Ok(None) };
    let null = Value::Null;
    let data = json.pointer("/format-specific/data").unwrap_or(&null);
    let top = ["virtual-size", "cluster-size", "dirty-flag", "backing-filename", "backing-filename-format"];
    let of_data = [
        "compat",
        "compression-type",
        "refcount-bits",
        "lazy-refcounts",
        "corrupt",
        "extended-l2",
        "data-file",
        "data-file-raw",
    ];
    let mut image = serde_json::Map::new();
    top.iter().for_each(|name| drop(image.insert((*name).into(), json[name].clone())));
    of_data.iter().for_each(|name| drop(image.insert((*name).into(), data[name].clone())));
    let mut snapshots = json.get("snapshots").cloned().unwrap_or(json!([]));
    for snapshot in snapshots.as_array_mut().into_iter().flatten() {
        let kept = ["id", "name", "vm-state-size", "date-sec", "date-nsec", "icount"];
        *snapshot = kept.iter().map(|name| ((*name).to_owned(), snapshot[name].clone())).collect();
    }
    let bitmaps = data.get("bitmaps").cloned().unwrap_or(json!([]));
    Ok(Some(json!({ "snapshots": snapshots, "bitmaps": bitmaps, "image": image })))
}

fn text(name: &Name) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn optional(name: &Name) -> Option<String> {
    (!name.is_empty()).then(|| text(name))
}
