//! The options of a new VHD image.

use super::unknown;
use super::value::Switch;
use crate::message::printable;
use instar_ops::VhdOptions;

/// The options as given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vhd {
    subformat: Option<String>,
    force_size: Option<Switch>,
}

impl Vhd {
    /// Sets an option; `None` if there is none of this name.
    pub fn set(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        match name {
            "subformat" => self.subformat = Some(value.to_owned()),
            "force_size" => return Some(Switch::parse(name, value).map(|on| self.force_size = Some(on))),
            _ => return None,
        }
        Some(Ok(()))
    }

    /// What follows the size in the `Formatting` line.
    pub fn formatting(&self) -> String {
        let mut out = String::new();
        if let Some(subformat) = &self.subformat {
            out.push_str(&format!(" subformat={}", printable(subformat)));
        }
        if let Some(force) = self.force_size {
            out.push_str(&format!(" force_size={}", force));
        }
        out
    }

    /// The options for the operation.
    ///
    /// # Errors
    /// What to say after the file's name.
    pub fn values(&self) -> Result<VhdOptions, String> {
        let fixed = match self.subformat.as_deref() {
            None | Some("dynamic") => false,
            Some("fixed") => true,
            Some(other) => return unknown("subformat", other),
        };
        Ok(VhdOptions { fixed, force_size: self.force_size.is_some_and(|force| force.is_on) })
    }
}
