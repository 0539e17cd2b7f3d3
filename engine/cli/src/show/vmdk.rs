//! What `info` says of VMDK images, in both forms.

use super::node::{Described, text};
use crate::message::printable;
use instar_ops::{Extent, ExtentKind, VmdkInfo};
use serde::Serialize;

/// QEMU's `ImageInfoSpecificVmdk`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VmdkData {
    cid: u32,
    parent_cid: u32,
    create_type: String,
    extents: Vec<ExtentData>,
}

/// QEMU's `VmdkExtentInfo`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExtentData {
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed: Option<bool>,
    virtual_size: u64,
    filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_size: Option<u64>,
    format: &'static str,
}

impl VmdkData {
    /// That of the image.
    pub fn new(info: &VmdkInfo, image: &Described<'_>) -> Self {
        Self {
            cid: info.cid,
            parent_cid: info.parent_cid,
            create_type: text(&info.create_type),
            extents: image.extents().map(|extent| ExtentData::new(extent, image)).collect(),
        }
    }

    /// For people.
    pub fn lines(&self) -> String {
        let mut out = format!("    cid: {}\n    parent cid: {}\n", self.cid, self.parent_cid);
        out.push_str(&format!("    create type: {}\n    extents:\n", printable(&self.create_type)));
        for (index, extent) in self.extents.iter().enumerate() {
            out.push_str(&format!("        [{index}]:\n"));
            for (name, value) in extent.lines() {
                out.push_str(&format!("            {name}: {value}\n"));
            }
        }
        out
    }
}

impl ExtentData {
    fn new(extent: &Extent, image: &Described<'_>) -> Self {
        let filename = match extent.kind {
            ExtentKind::Own => image.name.text(),
            _ => text(&image.name.resolve(&extent.name)),
        };
        Self {
            compressed: extent.compressed.then_some(true),
            virtual_size: extent.virtual_size,
            filename,
            cluster_size: extent.cluster_size,
            format: extent.kind.word(),
        }
    }

    fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        let lines = [
            ("compressed", self.compressed.map(|on| on.to_string())),
            ("virtual size", Some(self.virtual_size.to_string())),
            ("filename", Some(printable(&self.filename))),
            ("cluster size", self.cluster_size.map(|size| size.to_string())),
            ("format", Some(self.format.to_owned())),
        ];
        lines.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}
