//! Tables for people: a header, one row a line, columns as wide as their content. Pure.

/// The table with its header; `empty` if there are no rows. No cell may have a line break.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>, empty: &str) -> String {
    let mut lines = vec![head.map(String::from)];
    lines.extend(rows);
    if lines.len() == 1 {
        return empty.to_owned();
    }
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let line = |cells: &[String; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A cell for what is not known or does not apply.
pub(crate) fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let rows = [["ü".to_owned(), "x".to_owned()], ["longer".to_owned(), String::new()]];
        let expected = ["A       BE", "ü       x", "longer"];
        assert_eq!(table(["A", "BE"], rows.into_iter(), "none").lines().collect::<Vec<_>>(), expected);
        assert_eq!(table(["A"], std::iter::empty(), "none"), "none");
    }
}
