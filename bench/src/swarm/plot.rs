//! plot.svg: the last getter's time as a ratio to the ideal, over the plain rows from few getters to many, one line per
//! contestant.

use std::fmt::Write;

use super::row::{Row, Variant};
use super::summary::Line;
use crate::harness::picture::{self, INK};

const LEFT: f64 = 50.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const HEIGHT: f64 = 300.0;
const BOTTOM: f64 = 50.0;
const COLUMN: f64 = 110.0;
/// Larger ratios are drawn at this one.
const RATIO_MAX: f64 = 5.0;
const COLOURS: [&str; 7] = ["#b8b8b8", "#d1495b", "#4a7fb5", "#6fa287", "#c58b2a", "#7b5ea7", "#333333"];

/// The picture of `lines`.
pub fn svg(lines: &[Line]) -> String {
    let drawn: Vec<&Line> =
        lines.iter().filter(|line| line.row.variant == Variant::Plain && line.row.ideal_s().is_some()).collect();
    let mut rows: Vec<Row> = drawn.iter().map(|line| line.row).collect();
    rows.sort_unstable();
    rows.dedup();
    let mut names: Vec<&str> = Vec::new();
    for line in &drawn {
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    let ratios = drawn.iter().filter_map(|line| line.ratio).map(|ratio| ratio.high);
    let largest = ratios.fold(1.5, f64::max).min(RATIO_MAX);
    let (width, height) = (LEFT + RIGHT + COLUMN * rows.len().max(4) as f64, TOP + HEIGHT + BOTTOM);
    let mut text = format!(
        "<text x=\"{LEFT}\" y=\"18\" fill=\"{INK}\" font-weight=\"bold\">Time of the last getter by the ideal; lower is \
         better, 1 is the bound</text>\n"
    );
    let scale = Scale { largest };
    scale.draw(&mut text, width);
    for (column, row) in rows.iter().enumerate() {
        label(&mut text, row, column);
    }
    for (number, name) in names.iter().enumerate() {
        let points: Vec<(usize, &Line)> = rows
            .iter()
            .enumerate()
            .filter_map(|(column, row)| {
                Some((column, *drawn.iter().find(|line| line.row == *row && line.name == *name)?))
            })
            .collect();
        series(&mut text, name, number, &points, &scale);
    }
    picture::svg(width, height, 12, &text)
}

/// A scale from 1 at the bottom to the largest value at the top.
struct Scale {
    largest: f64,
}

impl Scale {
    fn y(&self, ratio: f64) -> f64 {
        TOP + HEIGHT * (1.0 - (ratio.clamp(1.0, self.largest) - 1.0) / (self.largest - 1.0))
    }

    fn draw(&self, text: &mut String, width: f64) {
        let step = if self.largest > 3.0 { 0.5 } else { 0.25 };
        let mut ratio = 1.0;
        while ratio <= self.largest {
            let y = self.y(ratio);
            let _ = writeln!(
                text,
                "<path d=\"M{LEFT} {y:.1}H{:.1}\" stroke=\"#dddddd\"/><text x=\"{}\" y=\"{:.1}\" fill=\"{INK}\" \
                 text-anchor=\"end\">{ratio:.2}</text>",
                width - RIGHT,
                LEFT - 6.0,
                y + 4.0
            );
            ratio += step;
        }
    }
}

fn x(column: usize) -> f64 {
    LEFT + COLUMN * (column as f64 + 0.5)
}

fn label(text: &mut String, row: &Row, column: usize) {
    let whole = row.to_string();
    let mut parts = whole.split(':').skip(1);
    let (cap, size) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let _ = writeln!(
        text,
        "<text x=\"{0:.1}\" y=\"{1}\" fill=\"{INK}\" text-anchor=\"middle\">N = {2}</text>\
         <text x=\"{0:.1}\" y=\"{3}\" fill=\"{INK}\" text-anchor=\"middle\" font-size=\"10\">{cap}/s, {size}</text>",
        x(column),
        TOP + HEIGHT + 20.0,
        row.getters,
        TOP + HEIGHT + 36.0
    );
}

fn series(text: &mut String, name: &str, number: usize, points: &[(usize, &Line)], scale: &Scale) {
    let colour = COLOURS[number % COLOURS.len()];
    let legend = LEFT + 130.0 * number as f64;
    let _ = writeln!(
        text,
        "<rect x=\"{legend}\" y=\"27\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"37\" \
         fill=\"{INK}\">{name}</text>",
        legend + 16.0
    );
    let known = points.iter().filter_map(|(column, line)| Some((*column, line.ratio?)));
    let mut path = String::new();
    for (column, ratio) in known {
        let (x, y) = (x(column), scale.y(ratio.value));
        let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"{colour}\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" \
             fill=\"{colour}\"/>",
            scale.y(ratio.low),
            scale.y(ratio.high)
        );
    }
    let _ = writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::super::summary::lines;
    use super::*;

    #[test]
    fn every_right_plain_row_is_a_point() {
        let records = [
            record("2:200Mbit:256MiB", "mtorrent", 1, 11.5),
            record("8:200Mbit:256MiB", "mtorrent", 1, 12.0),
            record("8:200Mbit:256MiB", "aria2", 1, 24.0),
            record("8:200Mbit:256MiB:leave", "mtorrent", 1, 12.0),
            record("8:uncapped:256MiB", "mtorrent", 1, 1.0),
        ];
        let text = svg(&lines(&records));
        assert_eq!(text.matches("<circle").count(), 3, "{text}");
        assert_eq!(text.matches("N = 8").count(), 1);
    }
}
