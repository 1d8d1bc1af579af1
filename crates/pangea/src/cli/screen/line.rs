//! Lines of the terminal: words with a tone, columns that align, cut to a width.

/// What a word means; the terminal's own palette decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Bold,
    Good,
    Warn,
    Bad,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

/// A word of one tone.
pub(super) type Word = (Tone, String);

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Word>);

impl Line {
    pub(super) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    pub(super) fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// The line, cut to `width` columns; with colours if wanted.
    pub(super) fn paint(&self, width: usize, colour: bool) -> String {
        let total: usize = self.0.iter().map(|(_, text)| text.chars().count()).sum();
        let mut left = if total > width { width.saturating_sub(1) } else { width };
        let mut painted = String::new();
        for (tone, text) in &self.0 {
            let shown: String = text.chars().take(left).collect();
            left -= shown.chars().count();
            if colour && *tone != Tone::Plain && !shown.trim().is_empty() {
                painted.push_str(tone.code());
                painted.push_str(&shown);
                painted.push_str("\x1b[0m");
            } else {
                painted.push_str(&shown);
            }
        }
        if total > width && width > 0 {
            painted.push('…');
        }
        painted.truncate(painted.trim_end().len());
        painted
    }
}

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows whose columns share their widths; a row may end early, in a remark of any length.
#[derive(Debug)]
pub(super) struct Grid {
    aligns: Vec<Align>,
    rows: Vec<(Vec<Word>, Option<Word>)>,
}

/// Blanks between columns.
const GAP: usize = 2;

impl Grid {
    pub(super) fn new(aligns: &[Align]) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn head(&mut self, names: &[&str]) {
        self.row(names.iter().map(|name| (Tone::Dim, (*name).to_owned())).collect(), None);
    }

    pub(super) fn row(&mut self, cells: Vec<Word>, remark: Option<Word>) {
        self.rows.push((cells, remark));
    }

    /// Width of column `index`.
    fn width(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|(cells, _)| cells.get(index));
        cells.map(|(_, text)| text.chars().count()).max().unwrap_or(0)
    }

    /// The lines; the first columns at least as wide as `least`.
    pub(super) fn lines(&self, least: &[usize]) -> Vec<Line> {
        let widths: Vec<usize> = (0..self.aligns.len())
            .map(|index| self.width(index).max(least.get(index).copied().unwrap_or(0)))
            .collect();
        let line = |(cells, remark): &(Vec<Word>, Option<Word>)| {
            let mut line = Line::default();
            for (index, (tone, text)) in cells.iter().enumerate() {
                let fill = widths[index] - text.chars().count();
                let (before, after) = match self.aligns[index] {
                    Align::Right => (fill, 0),
                    Align::Left => (0, fill),
                };
                line = line.and(Tone::Plain, " ".repeat(before));
                line = line.and(*tone, text.clone());
                line = line.and(Tone::Plain, " ".repeat(after + GAP));
            }
            line.0.extend(remark.clone());
            line
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_not_by_its_codes() {
        let line = Line::of(Tone::Bad, "DEAD").and(Tone::Plain, " for a long time");
        assert_eq!(line.paint(8, true), "\x1b[1;31mDEAD\x1b[0m fo…");
        assert_eq!(line.paint(8, false), "DEAD fo…");
        assert_eq!(line.paint(20, false), "DEAD for a long time");
    }

    #[test]
    fn columns_align() {
        let mut grid = Grid::new(&[Align::Left, Align::Right]);
        grid.head(&["NAME", "LAG"]);
        grid.row(vec![(Tone::Plain, "a".into()), (Tone::Good, "1234".into())], None);
        grid.row(vec![], Some((Tone::Dim, "a remark".into())));
        let lines: Vec<String> = grid.lines(&[6]).iter().map(|l| l.paint(80, false)).collect();
        assert_eq!(lines, ["NAME     LAG", "a       1234", "a remark"]);
    }
}
