//! The text of a label: name, last value and trend.

use super::style::BODY;
use crate::figure::{Figure, Series};
use crate::format;
use crate::text_metrics::{shortened, width};

/// The text beside one series.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelText {
    /// The name, shortened to fit.
    pub name: String,
    /// The last value or `ended`, and the trend.
    pub rest: String,
}

impl LabelText {
    /// The labels of all series, each at most `widest` pixels wide.
    pub fn for_figure(figure: &Figure, widest: f64) -> Vec<Self> {
        let signed = figure.points().any(|point| point.value < 0.0);
        figure.series.iter().map(|series| Self::new(figure, series, signed, widest)).collect()
    }

    fn new(figure: &Figure, series: &Series, signed: bool, widest: f64) -> Self {
        let value = match series.last {
            _ if series.ended => "ended".to_owned(),
            Some(last) if signed => format::change(figure.unit, last.value),
            Some(last) => format::shown(figure, last.value),
            None => String::new(),
        };
        let trend = series.trend.as_ref().filter(|_| !series.ended);
        let trend = trend.map(|trend| format!("  {}", trend.label)).unwrap_or_default();
        let rest = format!("  {value}{trend}");
        // The name is shortened first, but keeps a third of the width.
        let name_width = (widest - width(&rest, BODY)).max(widest * 0.3);
        let name = shortened(&series.name, BODY, name_width);
        let rest = shortened(&rest, BODY, (widest - width(&name, BODY)).max(0.0));
        Self { name, rest }
    }

    /// Its width in pixels.
    pub fn width(&self) -> f64 {
        width(&self.name, BODY) + width(&self.rest, BODY)
    }
}
