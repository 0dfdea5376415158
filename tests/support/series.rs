//! Simulated series of memory sizes: programs that leak, and programs that do not.
//!
//! For `tests/verdicts.rs` and `benches/verdicts.rs`. The same seed gives the same series on every machine with IEEE 754 rounding.

use std::f64::consts::TAU;

use memdiff::trend::{SampledSeries, TrendEstimate};

/// A time in seconds, and a size in bytes, or `None` for a gap.
pub type Moment = (f64, Option<f64>);

/// The trend of a series according to memdiff.
pub fn judged(series: &[Moment]) -> TrendEstimate {
    let mut samples = SampledSeries::new();
    for (seconds, value) in series {
        match value {
            Some(value) => samples.push(*seconds, *value),
            None => samples.push_gap(),
        }
    }
    samples.estimate_trend()
}

/// Random numbers: Vigna's splitmix64.
pub struct Chance(pub u64);

impl Chance {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Between two sizes, uniform on a logarithmic scale.
    fn size(&mut self, low: f64, high: f64) -> f64 {
        self.within(low.ln(), high.ln()).exp()
    }

    /// Between two numbers, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        self.within(low as f64, high as f64 + 1.0) as usize
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (TAU * self.unit()).cos()
    }

    fn yes(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// A kind of simulated program.
pub struct Kind {
    pub name: &'static str,
    pub leaks: bool,
    make: fn(&mut Chance, usize) -> Vec<f64>,
    /// Whether intervals are irregular and every fifth value is missing.
    ragged: bool,
}

impl Kind {
    /// A series of `moments` moments, over minutes to weeks.
    pub fn series(&self, seed: u64, moments: usize) -> Vec<Moment> {
        let mut chance = Chance(seed ^ (moments as u64) << 40 ^ hash(self.name));
        let values = (self.make)(&mut chance, moments);
        let interval = chance.size(1.0, 600.0);
        let mut seconds = chance.within(0.0, 1e6);
        let mut series = Vec::with_capacity(moments);
        for value in values {
            seconds += if self.ragged { interval * chance.within(0.3, 1.7) } else { interval };
            let missing = self.ragged && chance.yes(0.2);
            series.push((seconds, (!missing).then_some(value.max(0.0).round())));
        }
        series
    }
}

fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// All kinds, those without a leak first.
pub const KINDS: &[Kind] = &[
    tight("constant", false, constant),
    tight("white noise", false, white),
    tight("warm-up", false, warm_up),
    tight("warm-up, in pages and arenas", false, warm_up_in_arenas),
    tight("large from the start", false, large_from_the_start),
    tight("heap that settles", false, settling),
    tight("cache filling to its bound", false, cache),
    tight("cache of keys that repeat", false, keys),
    tight("collector saw-tooth", false, collector),
    tight("collector of two generations", false, generations),
    tight("churn, AR(1)", false, churn),
    tight("random walk within bounds", false, bounded_walk),
    tight("one jump up", false, jump),
    tight("level shifts", false, shifts),
    tight("daily cycle", false, cycle),
    tight("bursts of load", false, bursts),
    tight("high-water mark of requests", false, high_water),
    tight("churn after warm-up", false, churn_after_warm_up),
    Kind { name: "warm-up, ragged", leaks: false, make: warm_up, ragged: true },
    Kind { name: "collector, ragged", leaks: false, make: collector, ragged: true },
    Kind { name: "churn, ragged", leaks: false, make: churn, ragged: true },
    tight("line", true, line),
    tight("line with noise", true, noisy_line),
    tight("line with churn, AR(1)", true, line_with_churn),
    tight("line in arenas", true, line_in_arenas),
    tight("leak by chance events", true, events),
    tight("leak under a saw-tooth", true, under_teeth),
    tight("leak under a daily cycle", true, under_cycle),
    tight("staircase", true, staircase),
    tight("leak after warm-up", true, after_warm_up),
    tight("slow leak in a large noisy process", true, slow),
    tight("slow leak, large from the start", true, slow_from_the_start),
    tight("accelerating", true, accelerating),
    Kind { name: "line with noise, ragged", leaks: true, make: noisy_line, ragged: true },
    Kind { name: "leak after warm-up, ragged", leaks: true, make: after_warm_up, ragged: true },
];

const fn tight(name: &'static str, leaks: bool, make: fn(&mut Chance, usize) -> Vec<f64>) -> Kind {
    Kind { name, leaks, make, ragged: false }
}

const MIB: f64 = 1024.0 * 1024.0;

/// The size without a leak.
fn base(chance: &mut Chance) -> f64 {
    chance.size(4.0 * MIB, 4096.0 * MIB)
}

/// Values at times from 0 to 1.
fn over(moments: usize, mut value: impl FnMut(f64) -> f64) -> Vec<f64> {
    (0..moments).map(|i| value(i as f64 / (moments - 1) as f64)).collect()
}

/// The first-order autoregressive process with deviation 1, from its stationary state.
fn autoregressive(chance: &mut Chance, moments: usize, phi: f64) -> Vec<f64> {
    let mut value = chance.normal();
    let shock = (1.0 - phi * phi).sqrt();
    (0..moments)
        .map(|_| {
            value = phi * value + shock * chance.normal();
            value
        })
        .collect()
}

/// An autocorrelation at which a log still has about ten independent parts.
fn memory(chance: &mut Chance, moments: usize) -> f64 {
    chance.within(0.0, 1.0 - 10.0 / moments as f64)
}

/// Ramps that fall back to 0, each with its own height around 1.
fn ramps(chance: &mut Chance, moments: usize, period: f64) -> Vec<f64> {
    let mut height = chance.within(0.7, 1.3);
    let mut phase = chance.unit();
    (0..moments)
        .map(|_| {
            phase += chance.within(0.8, 1.2) / (period * moments as f64);
            if phase >= 1.0 {
                phase = phase.fract();
                height = chance.within(0.7, 1.3);
            }
            phase * height
        })
        .collect()
}

fn add(a: Vec<f64>, scale: f64, b: Vec<f64>) -> Vec<f64> {
    a.into_iter().zip(b).map(|(a, b)| a + scale * b).collect()
}

fn constant(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    over(moments, |_| base)
}

fn white(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let noise = base * chance.size(0.001, 0.3);
    over(moments, |_| base + noise * chance.normal())
}

fn warm_up(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let (base, time) = (base(chance), chance.within(0.02, 0.2));
    let height = base * chance.size(0.05, 3.0);
    let noise = height * chance.within(0.0, 0.05);
    over(moments, |t| base + height * (1.0 - (-t / time).exp()) + noise * chance.normal())
}

fn warm_up_in_arenas(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let arena = if chance.yes(0.5) { MIB } else { MIB / 4.0 };
    let churn = 4096.0 * chance.within(0.0, 30.0);
    warm_up(chance, moments)
        .into_iter()
        .map(|value| (value / arena).ceil() * arena + (churn * chance.unit() / 4096.0).floor() * 4096.0)
        .collect()
}

/// A program that loads much data within its first moments.
fn loading(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let (size, until) = (chance.size(64.0 * MIB, 4096.0 * MIB), chance.within(0.0, 0.06));
    over(moments, |t| size * (0.02 + 0.98 * (t / until).min(1.0)))
}

fn large_from_the_start(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = loading(chance, moments);
    let noise = base[moments - 1] * chance.size(0.0005, 0.02);
    add(base, noise, over(moments, |_| chance.normal()))
}

fn slow_from_the_start(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = loading(chance, moments);
    let growth = base[moments - 1] * chance.within(0.02, 0.1);
    let noise = chance.within(0.0, 0.05);
    let leak = over(moments, |t| t + noise * chance.normal());
    add(base, growth, leak)
}

/// Free fragments are reused better the more there are: growth is logarithmic.
fn settling(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let (base, time) = (base(chance), chance.within(0.002, 0.03));
    let height = base * chance.size(0.01, 0.1);
    let noise = height * chance.within(0.0, 0.1);
    over(moments, |t| base + height * (t / time).ln_1p() + noise * chance.normal())
}

fn cache(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let (base, full) = (base(chance), chance.within(0.05, 0.6));
    let height = base * chance.size(0.05, 3.0);
    let noise = height * chance.within(0.0, 0.05);
    over(moments, |t| base + height * (t / full).min(1.0) + noise * chance.normal())
}

/// Random keys of a fixed set are requested: new ones become rare.
fn keys(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let keys = chance.count(50, 500);
    let each = base * chance.size(0.05, 2.0) / keys as f64;
    let asked = keys as f64 * chance.within(5.0, 30.0);
    let mut seen = vec![false; keys];
    let mut held = 0.0;
    (0..moments)
        .map(|_| {
            for _ in 0..(asked / moments as f64 + chance.unit()) as usize {
                let key = chance.count(0, keys - 1);
                held += f64::from(u8::from(!std::mem::replace(&mut seen[key], true)));
            }
            base + each * held
        })
        .collect()
}

fn collector(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let height = base * chance.size(0.05, 2.0);
    let period = chance.within(2.5 / moments as f64, 0.25);
    let noise = base * 0.002;
    let ramps = ramps(chance, moments, period);
    ramps.into_iter().map(|ramp| base + height * ramp + noise * chance.normal()).collect()
}

fn generations(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let height = base * chance.size(0.05, 2.0);
    let (old, share) = (chance.within(0.08, 0.25), chance.within(0.2, 0.6));
    let majors = ramps(chance, moments, old);
    let fraction = chance.within(0.1, 0.3);
    let minors = ramps(chance, moments, old * fraction);
    add(add(vec![base; moments], height, majors), height * share, minors)
}

fn churn(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let phi = memory(chance, moments);
    let noise = base * chance.size(0.01, 0.3);
    add(vec![base; moments], noise, autoregressive(chance, moments, phi))
}

fn churn_after_warm_up(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = warm_up(chance, moments);
    let noise = base[0] * chance.size(0.01, 0.2);
    let phi = memory(chance, moments);
    add(base, noise, autoregressive(chance, moments, phi))
}

fn bounded_walk(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let height = base * chance.size(0.05, 2.0);
    let step = 1.0 / ((moments as f64).sqrt() * chance.within(0.2, 0.9));
    let mut level = chance.unit();
    over(moments, |_| {
        level = (level + step * chance.normal()).rem_euclid(2.0);
        level = if level > 1.0 { 2.0 - level } else { level };
        base + height * level
    })
}

fn jump(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let (base, when) = (base(chance), chance.within(0.05, 0.95));
    let height = base * chance.size(0.05, 2.0);
    let noise = height * chance.within(0.0, 0.3);
    over(moments, |t| base + height * f64::from(u8::from(t > when)) + noise * chance.normal())
}

fn shifts(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let height = base * chance.size(0.05, 2.0);
    let noise = height * chance.within(0.0, 0.1);
    let count = chance.count(2, 8);
    let mut changes: Vec<f64> = (0..count).map(|_| chance.unit()).collect();
    changes.sort_by(f64::total_cmp);
    let levels: Vec<f64> = (0..=count).map(|_| chance.unit()).collect();
    over(moments, |t| {
        let level = levels[changes.iter().filter(|change| **change < t).count()];
        base + height * level + noise * chance.normal()
    })
}

fn cycle(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let (base, phase) = (base(chance), chance.unit());
    let height = base * chance.size(0.05, 1.0);
    let noise = height * chance.within(0.0, 0.3);
    let cycles = chance.within(2.0, 10.0_f64.min(moments as f64 / 6.0));
    over(moments, |t| base + height * (1.0 + ((cycles * t + phase) * TAU).sin()) + noise * chance.normal())
}

fn bursts(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let height = base * chance.size(0.05, 3.0);
    let (rate, fall) = (chance.within(0.03, 0.4), chance.within(0.1, 0.9));
    let mut level = 0.0;
    over(moments, |_| {
        level *= fall;
        if chance.yes(rate) {
            level += chance.within(0.2, 1.0);
        }
        base + height * level + base * 0.001 * chance.normal()
    })
}

/// An allocator keeps the memory of the largest request so far.
fn high_water(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let height = base * chance.size(0.05, 3.0);
    let rarity = chance.within(1.0, 4.0);
    let mut highest: f64 = 0.0;
    over(moments, |_| {
        highest = highest.max(chance.unit().powf(rarity));
        base + height * highest
    })
}

/// The bytes that leak over the whole log.
fn leak(chance: &mut Chance, base: f64) -> f64 {
    base * chance.size(0.04, 3.0)
}

fn line(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    over(moments, |t| base + growth * t)
}

fn noisy_line(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let noise = chance.within(0.01, 0.12);
    let base = base(chance);
    let growth = leak(chance, base);
    over(moments, |t| base + growth * (t + noise * chance.normal()))
}

fn line_with_churn(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    let (phi, noise) = (chance.within(0.0, 0.7), chance.within(0.01, 0.1));
    add(over(moments, |t| base + growth * t), growth * noise, autoregressive(chance, moments, phi))
}

fn line_in_arenas(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let arena = if chance.yes(0.5) { MIB } else { MIB / 4.0 };
    let base = base(chance);
    let growth = leak(chance, base).max(8.0 * arena);
    over(moments, |t| base + (growth * t / arena).floor() * arena)
}

fn events(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let each = leak(chance, base) / 40.0;
    let mut held = 0.0;
    over(moments, |_| {
        let mut left = 40.0 / moments as f64;
        while left > 0.0 {
            // Several times with a low probability: about a Poisson distribution.
            if chance.yes(left.min(0.1)) {
                held += each * chance.within(0.2, 1.8);
            }
            left -= 0.1;
        }
        base + held
    })
}

fn under_teeth(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    let high = if moments < 100 { 0.4 } else { 1.5 };
    let (height, period) = (chance.within(0.1, high), chance.within(2.5 / moments as f64, 0.125));
    let ramps = ramps(chance, moments, period);
    add(over(moments, |t| base + growth * t), growth * height, ramps)
}

fn under_cycle(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    let (height, phase) = (chance.within(0.05, 0.25), chance.unit());
    let cycles = chance.within(4.0, 10.0_f64.min(moments as f64 / 4.0));
    over(moments, |t| base + growth * (t + height * ((cycles * t + phase) * TAU).sin()))
}

fn staircase(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    let steps = chance.within(8.0, 20.0);
    let noise = chance.within(0.0, 0.3) / steps;
    let phase = chance.unit();
    over(moments, |t| base + growth * ((t * steps + phase).floor() / steps + noise * chance.normal()))
}

fn after_warm_up(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    let (time, height) = (chance.within(0.01, 0.08), chance.within(0.2, 2.0));
    let noise = chance.within(0.0, 0.05);
    over(moments, |t| base + growth * (t + height * (1.0 - (-t / time).exp()) + noise * chance.normal()))
}

fn slow(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = chance.size(1024.0 * MIB, 16384.0 * MIB);
    let growth = base * chance.within(0.02, 0.06);
    let noise = chance.within(0.05, 0.03 * (moments as f64).sqrt().min(10.0));
    over(moments, |t| base + growth * (t + noise * chance.normal()))
}

fn accelerating(chance: &mut Chance, moments: usize) -> Vec<f64> {
    let base = base(chance);
    let growth = leak(chance, base);
    let (power, noise) = (chance.within(1.2, 2.5), chance.within(0.0, 0.03));
    over(moments, |t| base + growth * (t.powf(power) + noise * chance.normal()))
}
