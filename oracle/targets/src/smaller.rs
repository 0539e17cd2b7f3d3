//! Making an input smaller that finds something.

use std::time::{Duration, Instant};

/// The shortest of `data` that `finds` still holds for, after so much `time`. First ever smaller parts are left out,
/// then bytes become zero.
pub fn smaller(data: &[u8], time: Duration, finds: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let until = Instant::now() + time;
    let mut best = data.to_vec();
    let mut part = best.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut less = best.clone();
            less.drain(at..best.len().min(at + part));
            match attempt(until, &less, &finds) {
                None => return best,
                Some(true) => best = less,
                Some(false) => at += part,
            }
        }
        part /= 2;
    }
    for at in 0..best.len() {
        let before = std::mem::take(&mut best[at]);
        if before != 0 && attempt(until, &best, &finds) != Some(true) {
            best[at] = before;
        }
    }
    best
}

/// Whether it is found, or `None` if there is no time left.
fn attempt(until: Instant, data: &[u8], finds: impl Fn(&[u8]) -> bool) -> Option<bool> {
    (Instant::now() < until).then(|| finds(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let data: Vec<u8> = (0..200).collect();
        let both = |data: &[u8]| data.contains(&17) && data.contains(&130) && data.len() >= 4;
        let small = smaller(&data, Duration::from_secs(60), both);
        assert_eq!((small.len(), small.iter().filter(|b| **b != 0).count()), (4, 2));
        assert_eq!(smaller(&data, Duration::ZERO, both), data);
    }
}
