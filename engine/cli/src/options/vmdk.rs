//! The options of a new VMDK image, apart from its backing file.

use super::{switch, unknown};
use crate::message::printable;
use instar_ops::{VmdkOptions, VmdkSubformat};

/// The subformats by name.
const SUBFORMATS: [(&str, VmdkSubformat); 5] = [
    ("monolithicSparse", VmdkSubformat::MonolithicSparse),
    ("monolithicFlat", VmdkSubformat::MonolithicFlat),
    ("twoGbMaxExtentSparse", VmdkSubformat::TwoGbMaxExtentSparse),
    ("twoGbMaxExtentFlat", VmdkSubformat::TwoGbMaxExtentFlat),
    ("streamOptimized", VmdkSubformat::StreamOptimized),
];

/// The options as given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vmdk {
    compat6: bool,
    subformat: Option<String>,
    zeroed_grain: Option<bool>,
}

impl Vmdk {
    /// Sets an option; `None` if there is none of this name.
    pub fn set(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        let done = match name {
            "compat6" => switch(name, value).map(|on| self.compat6 = on),
            "subformat" => {
                self.subformat = Some(value.to_owned());
                Ok(())
            }
            "zeroed_grain" => switch(name, value).map(|on| self.zeroed_grain = Some(on)),
            _ => return None,
        };
        Some(done)
    }

    /// What follows the size and the backing file in the `Formatting` line.
    pub fn formatting(&self) -> String {
        let mut out = format!(" compat6={} hwversion=undefined", super::on(self.compat6));
        if let Some(subformat) = &self.subformat {
            out.push_str(&format!(" subformat={}", printable(subformat)));
        }
        if let Some(zeroed) = self.zeroed_grain {
            out.push_str(&format!(" zeroed_grain={}", super::on(zeroed)));
        }
        out
    }

    /// The options for the operation.
    ///
    /// # Errors
    /// What to say after the file's name.
    pub fn values(&self) -> Result<VmdkOptions, String> {
        let subformat = match self.subformat.as_deref() {
            None => VmdkSubformat::default(),
            Some(name) => match SUBFORMATS.iter().find(|(known, _)| *known == name) {
                Some((_, subformat)) => *subformat,
                None => return unknown("subformat", name),
            },
        };
        let zeroed_grain = self.zeroed_grain.unwrap_or(false);
        Ok(VmdkOptions { subformat, compat6: self.compat6, zeroed_grain })
    }
}
