//! Mistakes in a file, shown as a compiler shows them: file, line, caret, what is wrong and what would be right.
//! It knows nothing of what the files say.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

/// A file that was read, by the name under which messages speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, as the user wrote it.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A range of bytes in one of the sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which source, counted from 0.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line without a full stop.
    pub title: String,
    /// Where; none if it is in no place (a folder without files).
    pub place: Option<Place>,
    /// What stands under the carets; may be empty.
    pub label: String,
    /// Other places that have to do with it, each with a word.
    pub related: Vec<(Place, String)>,
    /// What one should know to understand it.
    pub notes: Vec<String>,
    /// What would be right.
    pub help: Vec<String>,
}

impl Place {
    /// A place in source number `file`.
    pub fn new(file: usize, span: Range<usize>) -> Place {
        Place { file, start: span.start, end: span.end }
    }
}

impl Diagnostic {
    /// A mistake at a place; `label` stands under the carets.
    pub fn at(place: Place, title: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic {
            title: title.into(),
            place: Some(place),
            label: label.into(),
            related: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A mistake that is in no place of a file.
    pub fn nowhere(title: impl Into<String>) -> Diagnostic {
        Diagnostic {
            title: title.into(),
            place: None,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Adds another place.
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.related.push((place, label.into()));
        self
    }

    /// Adds something one should know.
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds what would be right.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(text.into());
        self
    }
}

/// All mistakes as text for a terminal, in the order of their places, with an empty line between two.
pub fn render(diagnostics: &[Diagnostic], sources: &[Source], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut ordered: Vec<&Diagnostic> = diagnostics.iter().collect();
    ordered.sort_by(|a, b| a.place.cmp(&b.place));
    let mut out = String::new();
    for diagnostic in ordered {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[group(diagnostic, sources)]));
        out.push('\n');
    }
    out
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a [Source]) -> Group<'a> {
    let mut group = Group::with_title(Level::ERROR.primary_title(diagnostic.title.as_str()));
    type Marked<'a> = (&'a Place, &'a str, AnnotationKind);
    let places = diagnostic
        .place
        .iter()
        .map(|place| (place, diagnostic.label.as_str(), AnnotationKind::Primary))
        .chain(diagnostic.related.iter().map(|(place, label)| (place, label.as_str(), AnnotationKind::Context)));
    let mut files: Vec<(usize, Vec<Marked<'_>>)> = Vec::new();
    for entry in places {
        match files.iter_mut().find(|(file, _)| *file == entry.0.file) {
            Some((_, entries)) => entries.push(entry),
            None => files.push((entry.0.file, vec![entry])),
        }
    }
    for (file, entries) in files {
        let Some(source) = sources.get(file) else {
            continue;
        };
        let annotations = entries.into_iter().map(|(place, label, kind)| {
            let annotation = kind.span(clamp(place, &source.text));
            if label.is_empty() { annotation } else { annotation.label(label) }
        });
        group = group.element(Snippet::source(&source.text).path(&source.name).annotations(annotations));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The file and the line of a place, as `rules/shop.toml:12`.
pub fn line(place: &Place, sources: &[Source]) -> Option<String> {
    let source = sources.get(place.file)?;
    let before = &source.text.as_bytes()[..clamp(place, &source.text).start];
    Some(format!("{}:{}", source.name, before.iter().filter(|byte| **byte == b'\n').count() + 1))
}

/// The place as a range inside the text, on character boundaries; a TOML parser may point behind the end.
fn clamp(place: &Place, text: &str) -> Range<usize> {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = floor(place.start);
    start..floor(place.end).max(start)
}

/// The candidate that a misspelt name most likely means: at most a third of its letters off.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, left out, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut cost = (rows[i - 1][j] + 1).min(row[j - 1] + 1);
            cost = cost.min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["primary", "replicas", "reads", "max_lag"];
        assert_eq!(did_you_mean("primery", known), Some("primary"));
        assert_eq!(did_you_mean("praimry", known), Some("primary"));
        assert_eq!(did_you_mean("replica", known), Some("replicas"));
        assert_eq!(did_you_mean("Reads", known), Some("reads"));
        assert_eq!(did_you_mean("weight", known), None);
        assert_eq!(did_you_mean("", known), None);
    }

    #[test]
    fn two_places_of_one_file_share_a_picture() {
        let source = Source { name: "rules/a.toml".into(), text: "x = 1\nx = 2\n".into() };
        let diagnostic = Diagnostic::at(Place::new(0, 6..7), "x is defined twice", "again here")
            .related(Place::new(0, 0..1), "first here")
            .help("leave one of them out");
        let shown = render(&[diagnostic], &[source], false);
        let expected = "\
error: x is defined twice
 --> rules/a.toml:2:1
  |
1 | x = 1
  | - first here
2 | x = 2
  | ^ again here
  |
  = help: leave one of them out
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        let source = Source { name: "a".into(), text: "é".into() };
        let diagnostic = Diagnostic::at(Place::new(0, 1..99), "odd", "");
        assert!(render(&[diagnostic], &[source], false).contains("odd"));
        assert!(render(&[Diagnostic::at(Place::new(7, 0..1), "gone", "")], &[], false).contains("gone"));
    }
}
