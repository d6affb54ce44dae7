//! plot.svg: the medians as bars with their intervals, one panel per table.

use std::fmt::Write;

use super::contestant::Role;
use super::summary::{Row, Table};
use crate::harness::picture::{self, INK, escaped};

const WIDTH: f64 = 860.0;
const LABEL_WIDTH: f64 = 190.0;
const VALUE_WIDTH: f64 = 60.0;
const ROW_HEIGHT: f64 = 22.0;
const PANEL_HEAD: f64 = 34.0;
const LEGEND_HEIGHT: f64 = 30.0;

/// The picture of `tables`.
pub fn svg(tables: &[Table]) -> String {
    let panel_height = |table: &Table| PANEL_HEAD + ROW_HEIGHT * table.rows.len() as f64;
    let height = LEGEND_HEIGHT + tables.iter().map(panel_height).sum::<f64>() + 10.0;
    let mut text = String::new();
    legend(&mut text);
    let mut top = LEGEND_HEIGHT;
    for table in tables {
        panel(&mut text, table, top);
        top += panel_height(table);
    }
    picture::svg(WIDTH, height, 13, &text)
}

fn colour(role: Role) -> &'static str {
    match role {
        Role::Limit => "#b8b8b8",
        Role::Ours => "#d1495b",
        Role::Copier => "#4a7fb5",
        Role::BitTorrent => "#6fa287",
    }
}

fn legend(text: &mut String) {
    let mut left = LABEL_WIDTH;
    for role in [Role::Limit, Role::Ours, Role::Copier, Role::BitTorrent] {
        let _ = writeln!(
            text,
            "<rect x=\"{left}\" y=\"9\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"20\" fill=\"{INK}\">{}</text>",
            colour(role),
            left + 17.0,
            role.word()
        );
        left += 110.0;
    }
}

fn panel(text: &mut String, table: &Table, top: f64) {
    let _ = writeln!(
        text,
        "<text x=\"10\" y=\"{}\" fill=\"{INK}\" font-weight=\"bold\">{}, GB/s</text>",
        top + 22.0,
        escaped(&table.title)
    );
    let largest = table.rows.iter().filter_map(|row| row.rate).map(|rate| rate.high).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / largest;
    for (at, row) in table.rows.iter().enumerate() {
        bar(text, row, top + PANEL_HEAD + ROW_HEIGHT * at as f64, scale);
    }
}

fn bar(text: &mut String, row: &Row, top: f64, scale: f64) {
    let middle = top + ROW_HEIGHT / 2.0;
    let baseline = middle + 4.5;
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{baseline}\" fill=\"{INK}\" text-anchor=\"end\">{}</text>",
        LABEL_WIDTH - 8.0,
        escaped(&row.label)
    );
    let Some(rate) = row.rate else {
        let _ = writeln!(text, "<text x=\"{LABEL_WIDTH}\" y=\"{baseline}\" fill=\"{INK}\">failed</text>");
        return;
    };
    let x = |value: f64| LABEL_WIDTH + value * scale;
    let _ = writeln!(
        text,
        "<rect x=\"{LABEL_WIDTH}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>\
         <path d=\"M{:.1} {middle}H{:.1}\" stroke=\"{INK}\" stroke-width=\"1.5\"/>\
         <text x=\"{:.1}\" y=\"{baseline}\" fill=\"{INK}\">{:.2}</text>",
        top + 3.0,
        rate.value * scale,
        ROW_HEIGHT - 6.0,
        colour(row.role),
        x(rate.low),
        x(rate.high),
        x(rate.high) + 6.0,
        rate.value
    );
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::super::summary::tables;
    use super::*;

    #[test]
    fn every_row_is_drawn_inside_the_picture() {
        let text = svg(&tables(&[record(false, 1, 2.0), record(true, 1, 1.5)]));
        assert_eq!(text.matches("stroke-width").count(), 2);
        assert!(text.contains(&format!("width=\"{:.1}\"", WIDTH - LABEL_WIDTH - VALUE_WIDTH)), "{text}");
    }
}
