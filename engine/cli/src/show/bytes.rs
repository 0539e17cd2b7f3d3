//! Byte counts for people: three significant digits and a binary unit.

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A byte count as `qemu-img` shows it: `196 KiB`, `4.62 MiB`.
///
/// The next unit begins at 1000 of the smaller one, not at 1024, so that three digits suffice.
pub fn human(bytes: u64) -> String {
    let mut unit = 0;
    let mut scale = 1_u64;
    // bytes >= 1000 / 1024 of the next unit
    while unit + 1 < UNITS.len() && u128::from(bytes) >= 1000 * u128::from(scale) {
        unit += 1;
        scale <<= 10;
    }
    let mut out = significant(bytes, scale);
    out.push_str(&format!(" {}", UNITS[unit]));
    out
}

/// `bytes / scale` with three significant digits as C's `%.3g` prints it.
fn significant(bytes: u64, scale: u64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "three digits are kept; the original computes in doubles too"
    )]
    let value = bytes as f64 / scale as f64;
    let decimals = match value {
        v if v < 1.0 && v > 0.0 => 3,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        v if v < 999.5 => 0,
        _ => return "1e+03".to_owned(),
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn as_qemu_img_prints_them() {
        let table = [
            (0, "0 B"),
            (1, "1 B"),
            (512, "512 B"),
            (999, "999 B"),
            (1000, "0.977 KiB"),
            (1023, "0.999 KiB"),
            (1024, "1 KiB"),
            (197_120, "192 KiB"),
            (200_704, "196 KiB"),
            (1_023_590, "1e+03 KiB"),
            (1_024_000, "0.977 MiB"),
            (2_097_152, "2 MiB"),
            (4_849_664, "4.62 MiB"),
            (104_805_000, "99.9 MiB"),
            (1_073_741_312, "1 GiB"),
            (1 << 40, "1 TiB"),
            ((1 << 63) - 1, "8 EiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(human(bytes), text, "{bytes}");
        }
    }
}
