//! What `info` shows of a LUKS header, for programs and for people.

use instar_ops::{Cipher, LuksInfo};
use serde::Serialize;

/// QEMU's `QCryptoBlockInfoLUKS`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LuksData {
    ivgen_alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detached_header: Option<bool>,
    hash_alg: &'static str,
    cipher_alg: String,
    uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    cipher_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ivgen_hash_alg: Option<&'static str>,
    slots: Vec<SlotEntry>,
    payload_offset: u64,
    master_key_iters: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SlotEntry {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    iters: Option<u32>,
    key_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripes: Option<u32>,
}

impl LuksData {
    /// What `luks` says. Within qcow2 it names its format, too; whether the header is a file of its own is
    /// said since 9.0.
    pub fn new(luks: &LuksInfo, within_qcow2: bool, since_detached: bool) -> Self {
        let uuid = luks.uuid.split(|b| *b == 0).next().unwrap_or_default();
        Self {
            ivgen_alg: luks.ivgen.name(),
            detached_header: since_detached.then_some(false),
            hash_alg: luks.hash.name(),
            cipher_alg: cipher(luks),
            uuid: String::from_utf8_lossy(uuid).into_owned(),
            format: within_qcow2.then_some("luks"),
            cipher_mode: luks.mode.name(),
            ivgen_hash_alg: luks.ivgen.hash().map(|hash| hash.name()),
            slots: luks
                .slots
                .iter()
                .map(|slot| SlotEntry {
                    active: slot.active,
                    iters: slot.active.then_some(slot.rounds),
                    key_offset: slot.material,
                    stripes: slot.active.then_some(slot.stripes),
                })
                .collect(),
            payload_offset: luks.payload_offset,
            master_key_iters: luks.master_key_rounds,
        }
    }

    /// The same as lines, each with `indent` before it.
    pub fn lines(&self, indent: &str) -> String {
        let mut out = String::new();
        let mut line = |text: String| out.push_str(&format!("{indent}{text}\n"));
        line(format!("ivgen alg: {}", self.ivgen_alg));
        if let Some(detached) = self.detached_header {
            line(format!("detached header: {detached}"));
        }
        line(format!("hash alg: {}", self.hash_alg));
        line(format!("cipher alg: {}", self.cipher_alg));
        line(format!("uuid: {}", crate::message::printable(&self.uuid)));
        if let Some(format) = self.format {
            line(format!("format: {format}"));
        }
        if let Some(hash) = self.ivgen_hash_alg {
            line(format!("ivgen hash alg: {hash}"));
        }
        line(format!("cipher mode: {}", self.cipher_mode));
        line("slots:".to_owned());
        for (number, slot) in self.slots.iter().enumerate() {
            line(format!("    [{number}]:"));
            line(format!("        active: {}", slot.active));
            if let Some(iters) = slot.iters {
                line(format!("        iters: {iters}"));
            }
            line(format!("        key offset: {}", slot.key_offset));
            if let Some(stripes) = slot.stripes {
                line(format!("        stripes: {stripes}"));
            }
        }
        line(format!("payload offset: {}", self.payload_offset));
        line(format!("master key iters: {}", self.master_key_iters));
        out
    }
}

fn cipher(luks: &LuksInfo) -> String {
    match luks.cipher {
        Cipher::Cast5 => "cast5-128".to_owned(),
        cipher => format!("{}-{}", cipher.name(), luks.key_bits),
    }
}
