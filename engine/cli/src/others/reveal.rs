//! What an overlay must keep of an encrypted file behind it: read by a job of its own, which has the passphrase and
//! writes to no image, into memory that then stands for that file.

use super::{Layer, OtherFiles};
use crate::engine::Engine;
use crate::error::CliError;
use crate::message::errno_text;
use crate::part::Part;
use crate::source::Source;
use instar_ops::{Format, LayerError, OpError, Refusal};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::ops::Range;

/// A layer that must be read and cannot be without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    layer: usize,
    bytes: Range<u64>,
}

impl Sealed {
    /// What of which layer a job was refused, if that is why it failed.
    #[must_use]
    pub fn of<T>(result: &Result<T, OpError>) -> Option<Self> {
        let Err(OpError::Layer { layer, error: LayerError::Refused(refusal) }) = result else { return None };
        let Refusal::EncryptedLayer { offset, len } = *refusal else { return None };
        Some(Self { layer: usize::try_from(*layer).ok()?, bytes: offset..offset.checked_add(len)? })
    }
}

impl OtherFiles {
    /// Puts what is `sealed` in plain in the place of its layer and of all that is behind that. Nothing else of them can
    /// be read then.
    ///
    /// # Errors
    /// [`CliError`]: a layer cannot be read, or there is no memory.
    pub fn reveal(&mut self, engine: &dyn Engine, source: &Source, sealed: &Sealed) -> Result<(), CliError> {
        let Sealed { layer: first, bytes } = sealed;
        loop {
            let Some(layer) = self.layers.get(*first) else {
                return Err(unreadable("there is no such layer"));
            };
            let plain = memory(layer.size).map_err(|e| unreadable(&errno_text(&e)))?;
            let id = layer.key_secret.as_deref().unwrap_or_default();
            let passphrase = source.passphrase(id).map_err(|e| unreadable(&e))?;
            let files: Vec<_> = self.layers.iter().skip(*first).map(Layer::files).collect();
            let result = engine.reveal(&files, bytes, &plain, passphrase)?.result;
            match (Sealed::of(&result), result) {
                // One behind it, by its number from there: they are one fewer now, whatever comes of it.
                (Some(Sealed { layer: behind @ 1.., bytes }), _) => {
                    self.reveal(engine, source, &Sealed { layer: first.saturating_add(behind), bytes })?;
                }
                (_, Err(OpError::Layer { layer, error })) => {
                    let first = u32::try_from(*first).unwrap_or(u32::MAX);
                    return Err(self.error(first.saturating_add(layer), error));
                }
                (_, Err(error)) => return Err(unreadable(&error.to_string())),
                (_, Ok(_)) => {
                    let Layer { name, size, .. } = layer;
                    let (name, size, format) = (name.clone(), *size, Format::Raw);
                    self.layers.truncate(*first);
                    self.layers.push(Layer {
                        name,
                        file: plain,
                        part: Part::default(),
                        data_file: None,
                        format,
                        size,
                        key_secret: None,
                    });
                    return Ok(());
                }
            }
        }
    }
}

fn unreadable(why: &str) -> CliError {
    CliError::Refused(format!("Could not read an encrypted backing file: {why}"))
}

/// A file of `len` zeros that is nowhere but in memory.
fn memory(len: u64) -> io::Result<File> {
    let file = File::from(memfd_create("instar", MemfdFlags::CLOEXEC)?);
    file.set_len(len)?;
    Ok(file)
}
