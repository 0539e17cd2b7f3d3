//! The options of a new VHDX image.

use super::unknown;
use super::value::{Switch, bytes};
use crate::message::printable;
use instar_ops::VhdxOptions;

/// The options as given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vhdx {
    log_size: Option<u64>,
    block_size: Option<u64>,
    subformat: Option<String>,
    block_state_zero: Option<Switch>,
}

impl Vhdx {
    /// Sets an option; `None` if there is none of this name.
    pub fn set(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        let done = match name {
            "log_size" => bytes("log_size", value).map(|size| self.log_size = Some(size)),
            "block_size" => bytes("block_size", value).map(|size| self.block_size = Some(size)),
            "subformat" => {
                self.subformat = Some(value.to_owned());
                Ok(())
            }
            "block_state_zero" => Switch::parse(name, value).map(|on| self.block_state_zero = Some(on)),
            _ => return None,
        };
        Some(done)
    }

    /// What follows the size in the `Formatting` line.
    pub fn formatting(&self) -> String {
        let options = VhdxOptions::default();
        let log_size = self.log_size.unwrap_or(options.log_size);
        let block_size = self.block_size.unwrap_or(options.block_size);
        let mut out = format!(" log_size={log_size} block_size={block_size}");
        if let Some(subformat) = &self.subformat {
            out.push_str(&format!(" subformat={}", printable(subformat)));
        }
        if let Some(zero) = self.block_state_zero {
            out.push_str(&format!(" block_state_zero={}", zero));
        }
        out
    }

    /// The options for the operation.
    ///
    /// # Errors
    /// What to say after the file's name.
    pub fn values(&self) -> Result<VhdxOptions, String> {
        let options = VhdxOptions::default();
        let fixed = match self.subformat.as_deref() {
            None | Some("dynamic") => false,
            Some("fixed") => true,
            Some(other) => return unknown("subformat", other),
        };
        Ok(VhdxOptions {
            fixed,
            log_size: self.log_size.unwrap_or(options.log_size),
            block_size: self.block_size.unwrap_or(options.block_size),
            block_state_zero: self.block_state_zero.map_or(options.block_state_zero, |zero| zero.is_on),
        })
    }
}
