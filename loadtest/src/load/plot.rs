//! Line plots as inline SVG.

use std::fmt::Write as _;

/// The size of a plot and of its margins, in pixels.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 36.0;

/// The most points of one line; more are thinned out, the highest of each group stays.
const MOST_POINTS: usize = 1_500;

/// One line.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) color: &'a str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How the values of an axis are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// Powers of ten; values below 1 count as 1.
    Log,
}

/// A plot of several lines over the same axes.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_label: &'a str,
    /// Labels of the horizontal axis; none for round numbers.
    pub(crate) x_ticks: Option<Vec<(f64, String)>>,
    pub(crate) y: Scale,
    pub(crate) y_format: fn(f64) -> String,
    pub(crate) lines: Vec<Line<'a>>,
}

impl Plot<'_> {
    /// The figure: title, legend and drawing.
    pub(crate) fn figure(&self) -> String {
        let mut out = format!("<figure><figcaption>{}", self.title);
        for line in &self.lines {
            let (name, color) = (line.name, line.color);
            push(
                &mut out,
                format_args!(" <span style=\"color:{color}\">&#9632; {name}</span>"),
            );
        }
        push(
            &mut out,
            format_args!("</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">"),
        );
        let (x_most, y_most) = (self.most(|point| point.0), self.most(|point| point.1));
        let x = Axis::new(Scale::Linear, x_most, (LEFT, WIDTH - RIGHT));
        let y = Axis::new(self.y, y_most, (HEIGHT - BOTTOM, TOP));
        self.grid(&mut out, &x, &y);
        for line in &self.lines {
            draw(&mut out, line, &x, &y);
        }
        out.push_str("</svg></figure>\n");
        out
    }

    fn most(&self, of: impl Fn(&(f64, f64)) -> f64) -> f64 {
        let all = self.lines.iter().flat_map(|line| &line.points);
        all.map(of).fold(0.0, f64::max)
    }

    fn grid(&self, out: &mut String, x: &Axis, y: &Axis) {
        for value in y.ticks() {
            let at = y.place(value);
            let label = (self.y_format)(value);
            push(
                out,
                format_args!(
                    "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                     <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    at + 4.0
                ),
            );
        }
        let round = || {
            x.ticks()
                .into_iter()
                .map(|value| (value, format!("{value}")))
                .collect()
        };
        for (value, label) in self.x_ticks.clone().unwrap_or_else(round) {
            let at = x.place(value);
            push(
                out,
                format_args!(
                    "<text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
                    HEIGHT - BOTTOM + 16.0
                ),
            );
        }
        push(
            out,
            format_args!(
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                f64::midpoint(LEFT, WIDTH),
                HEIGHT - 4.0,
                self.x_label
            ),
        );
    }
}

/// One axis: from 0 (or 1, where it is logarithmic) to a little more than the largest value.
struct Axis {
    scale: Scale,
    most: f64,
    step: f64,
    pixels: (f64, f64),
}

impl Axis {
    fn new(scale: Scale, most: f64, pixels: (f64, f64)) -> Self {
        let most = most.max(1.0);
        let step = round_step(most / 5.0);
        let most = match scale {
            Scale::Linear => most,
            Scale::Log => 10_f64.powf(most.log10().ceil().max(1.0)),
        };
        Self {
            scale,
            most,
            step,
            pixels,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => value / self.most,
            Scale::Log => value.max(1.0).log10() / self.most.log10(),
        };
        let (from, to) = self.pixels;
        from + (to - from) * share
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut value = match self.scale {
            Scale::Linear => 0.0,
            Scale::Log => 1.0,
        };
        while value <= self.most * 1.000_001 {
            ticks.push(value);
            value = match self.scale {
                Scale::Linear => value + self.step,
                Scale::Log => value * 10.0,
            };
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| digit * power >= rough);
    digit.unwrap_or(10.0) * power
}

fn draw(out: &mut String, line: &Line<'_>, x: &Axis, y: &Axis) {
    push(
        out,
        format_args!(
            "<polyline data-series=\"{}\" stroke=\"{}\" points=\"",
            line.name, line.color
        ),
    );
    let group = line.points.len().div_ceil(MOST_POINTS).max(1);
    let highest = |chunk: &[(f64, f64)]| {
        let all = chunk.iter().copied();
        all.max_by(|one, other| one.1.total_cmp(&other.1))
    };
    for (at, value) in line.points.chunks(group).filter_map(highest) {
        push(
            out,
            format_args!("{:.1},{:.1} ", x.place(at), y.place(value)),
        );
    }
    out.push_str("\"/>");
}

/// Writing to a `String` does not fail.
pub(crate) fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(y: Scale, points: Vec<(f64, f64)>) -> String {
        let plot = Plot {
            title: "latency",
            x_label: "s",
            x_ticks: None,
            y,
            y_format: |value| format!("{value} ms"),
            lines: vec![Line {
                name: "p99",
                color: "#c00",
                points,
            }],
        };
        plot.figure()
    }

    #[test]
    fn the_line_goes_from_corner_to_corner() {
        let figure = figure(Scale::Linear, vec![(0.0, 0.0), (10.0, 100.0)]);
        assert!(
            figure.contains("points=\"70.0,224.0 844.0,12.0 \""),
            "{figure}"
        );
        assert!(figure.contains(">100 ms</text>"));
    }

    #[test]
    fn a_logarithmic_axis_ends_at_a_power_of_ten() {
        let figure = figure(Scale::Log, vec![(0.0, 1.0), (10.0, 900.0)]);
        assert!(figure.contains(">1000 ms</text>"));
        assert!(figure.contains("70.0,224.0 "));
    }

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_peak() {
        let mut points: Vec<_> = (0..100_000_u32).map(|at| (f64::from(at), 1.0)).collect();
        points[51_234].1 = 50.0;
        let figure = figure(Scale::Linear, points);
        assert!(figure.matches(',').count() <= MOST_POINTS + 10);
        assert!(figure.contains(",12.0 "));
    }

    #[test]
    fn no_points_are_no_trouble() {
        for scale in [Scale::Linear, Scale::Log] {
            assert!(!figure(scale, Vec::new()).contains("NaN"));
        }
    }
}
