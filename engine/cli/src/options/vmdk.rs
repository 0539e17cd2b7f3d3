//! The options of a new VMDK image, apart from its backing file.

use super::value::Switch;
use crate::message::printable;
use instar_ops::{Label, VmdkAdapter, VmdkOptions, VmdkSubformat};

/// The subformats.
const SUBFORMATS: [VmdkSubformat; 5] = [
    VmdkSubformat::MonolithicSparse,
    VmdkSubformat::MonolithicFlat,
    VmdkSubformat::TwoGbMaxExtentSparse,
    VmdkSubformat::TwoGbMaxExtentFlat,
    VmdkSubformat::StreamOptimized,
];
/// The controllers.
const ADAPTERS: [VmdkAdapter; 4] =
    [VmdkAdapter::Ide, VmdkAdapter::BusLogic, VmdkAdapter::LsiLogic, VmdkAdapter::LegacyEsx];
/// The hardware version that stands for the one that goes with the rest.
const UNDEFINED: &str = "undefined";

/// The options as given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vmdk {
    adapter: Option<String>,
    compat6: Switch,
    hardware: Option<String>,
    tools: Option<String>,
    subformat: Option<String>,
    zeroed_grain: Option<Switch>,
}

impl Vmdk {
    /// Sets an option; `None` if there is none of this name.
    pub fn set(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        let slot = match name {
            "compat6" => return Some(Switch::parse(name, value).map(|on| self.compat6 = on)),
            "zeroed_grain" => return Some(Switch::parse(name, value).map(|on| self.zeroed_grain = Some(on))),
            "adapter_type" => &mut self.adapter,
            "hwversion" => &mut self.hardware,
            "toolsversion" => &mut self.tools,
            "subformat" => &mut self.subformat,
            _ => return None,
        };
        *slot = Some(value.to_owned());
        Some(Ok(()))
    }

    /// What comes before the backing file in the `Formatting` line.
    pub fn formatting_first(&self) -> String {
        named("adapter_type", self.adapter.as_ref())
    }

    /// What follows it.
    pub fn formatting(&self) -> String {
        let hardware = printable(self.hardware.as_deref().unwrap_or(UNDEFINED));
        let mut out = format!(" compat6={} hwversion={hardware}", self.compat6);
        out.push_str(&named("toolsversion", self.tools.as_ref()));
        out.push_str(&named("subformat", self.subformat.as_ref()));
        if let Some(zeroed) = self.zeroed_grain {
            out.push_str(&format!(" zeroed_grain={}", zeroed));
        }
        out
    }

    /// The options for the operation, but for what comes from the files that are named.
    ///
    /// # Errors
    /// What to say after the file's name.
    pub fn values(&self, has_backing: bool) -> Result<VmdkOptions, String> {
        let adapter = one_of(self.adapter.as_ref(), &ADAPTERS, VmdkAdapter::name)?;
        let hardware = self.hardware.as_deref().filter(|version| *version != UNDEFINED);
        if self.compat6.is_on && hardware.is_some() {
            return Err("compat6 cannot be enabled with hwversion set".to_owned());
        }
        let subformat = one_of(self.subformat.as_ref(), &SUBFORMATS, VmdkSubformat::name)?;
        let zeroed_grain = self.zeroed_grain.is_some_and(|zeroed| zeroed.is_on);
        if matches!(subformat, VmdkSubformat::MonolithicFlat | VmdkSubformat::TwoGbMaxExtentFlat) {
            if has_backing {
                return Err("Flat image can't have backing file".to_owned());
            }
            if zeroed_grain {
                return Err("Flat image can't enable zeroed grain".to_owned());
            }
        }
        Ok(VmdkOptions {
            subformat,
            compat6: self.compat6.is_on,
            zeroed_grain,
            adapter,
            hardware: label("hwversion", hardware)?,
            tools: label("toolsversion", self.tools.as_deref())?,
            ..VmdkOptions::default()
        })
    }
}

fn named(name: &str, value: Option<&String>) -> String {
    value.map(|value| format!(" {name}={}", printable(value))).unwrap_or_default()
}

/// The one of `all` that has this name; the first one if there is none.
fn one_of<T: Copy + Default>(
    given: Option<&String>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    match given {
        None => Ok(T::default()),
        Some(given) => all
            .iter()
            .copied()
            .find(|one| name(*one) == given)
            .ok_or_else(|| format!("invalid parameter value: {}", printable(given))),
    }
}

fn label<const N: usize>(name: &str, value: Option<&str>) -> Result<Label<N>, String> {
    // What ends a word in a descriptor, or a line.
    let fits = |value: &str| !value.contains(['"', '\n', '\r']);
    let label = Label::new(value.unwrap_or_default().as_bytes()).filter(|_| value.is_none_or(fits));
    label.ok_or_else(|| format!("Parameter '{name}' expects at most {N} bytes of one line without quotes"))
}
