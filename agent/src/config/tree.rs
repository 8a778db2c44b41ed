//! YAML text as a tree in which every key and value knows its place.
//! Must not know the schema.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{self as yaml, Event, Parser, ScalarStyle};

use super::limits::{CONFIG_MAX_DEPTH, CONFIG_TREE_MAX_BYTES};

/// What a node costs beside its text; an estimate.
const NODE_BYTES: usize = 64;
const TOO_MUCH: &str = "too many values, aliases expanded";

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// A value with its place. Keys that stand twice are both kept: the walk reports them with all other errors.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `~`, `null` or nothing: as good as not written.
    Null,
    /// `plain`: not quoted, so `false` may be a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Span,
    pub(super) value: Node,
}

impl Node {
    /// No text at all.
    pub(super) fn empty() -> Self {
        Self { span: 0..0, kind: Kind::Null }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }
}

/// Why there is no tree.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Span,
    pub(super) cause: String,
    pub(super) hint: Option<&'static str>,
}

/// The one document of `text`.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut options = yaml::Options::default();
    options.emit_comments = false;
    // Else its error would name the alias, which may be an unquoted password that begins with `*`.
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = CONFIG_MAX_DEPTH;
    options.block_nesting_limit = CONFIG_MAX_DEPTH;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|e| {
            let at = e.marker().byte_offset().unwrap_or(0);
            SyntaxError { span: at..at, cause: format!("YAML: {}", e.kind()), hint: None }
        })?;
        let offset = |m: yaml::Marker| m.byte_offset().unwrap_or(0);
        builder.take(event, offset(span.start)..offset(span.end))?;
    }
    Ok(builder.root.unwrap_or_else(Node::empty))
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    documents: usize,
    cost_bytes: usize,
}

/// A collection whose end has not come.
struct Open {
    start: usize,
    anchor: usize,
    cost_before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Span)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let fail = |cause: &str, hint| Err(SyntaxError { span: span.clone(), cause: cause.to_owned(), hint });
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return fail("a second YAML document", Some("one file holds one document"));
                }
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, _, Some(tag))
            | Event::MappingStart(_, _, Some(tag))
                if !plain_string(&tag) =>
            {
                return fail(
                    "YAML tags (`!…`) mean nothing here",
                    Some("quote the value if it begins with `!`"),
                );
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let null = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let kind = match null {
                    true => Kind::Null,
                    false => Kind::Scalar { text: text.into_owned(), plain },
                };
                let cost_bytes = NODE_BYTES + span.len();
                self.put(Node { span, kind }, anchor, cost_bytes, cost_bytes)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(span, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.start(span, anchor, Content::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let kind = match open.content {
                        Content::List(list) => Kind::List(list),
                        Content::Map(map, _) => Kind::Map(map),
                    };
                    let node = Node { span: open.start..span.end.max(open.start), kind };
                    let whole = NODE_BYTES + self.cost_bytes - open.cost_before;
                    self.put(node, open.anchor, NODE_BYTES, whole)?;
                }
            }
            Event::Alias(id) => {
                let Some((node, cost_bytes)) = self.anchors.get(&id) else {
                    return fail("an alias of the collection that holds it", None);
                };
                let cost_bytes = *cost_bytes;
                // Before the copy: the copy is what must not fill the memory.
                if self.cost_bytes + cost_bytes > CONFIG_TREE_MAX_BYTES {
                    return fail(TOO_MUCH, None);
                }
                let node = Node { span, kind: node.kind.clone() };
                self.put(node, 0, cost_bytes, cost_bytes)?;
            }
            Event::UnresolvedAlias(_) => {
                return fail(
                    "an alias (`*…`) without its anchor",
                    Some("quote the value if it begins with `*`"),
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if self.open.len() >= CONFIG_MAX_DEPTH {
            let cause = format!("nested deeper than {CONFIG_MAX_DEPTH} levels");
            return Err(SyntaxError { span, cause, hint: None });
        }
        let cost_before = self.cost_bytes;
        self.open.push(Open { start: span.start, anchor, cost_before, content });
        Ok(())
    }

    /// A whole node goes into the collection around it. `own`: what it adds to the tree's size; `whole`: with all
    /// under it, what an alias of it will add.
    fn put(&mut self, node: Node, anchor: usize, own: usize, whole: usize) -> Result<(), SyntaxError> {
        self.cost_bytes += own;
        if self.cost_bytes > CONFIG_TREE_MAX_BYTES {
            return Err(SyntaxError { span: node.span, cause: TOO_MUCH.to_owned(), hint: None });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), whole));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(list)) => list.push(node),
            Some(Content::Map(_, key @ None)) => match node.kind {
                Kind::Scalar { text, .. } => *key = Some((text, node.span)),
                Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    let cause = "a key is a word".to_owned();
                    return Err(SyntaxError { span: node.span, cause, hint: None });
                }
            },
            Some(Content::Map(map, key @ Some(_))) => {
                if let Some((key, at)) = key.take() {
                    map.push(Entry { key, at, value: node });
                }
            }
        }
        Ok(())
    }
}

/// `!!str` says what a quoted scalar says; every other tag is an error.
fn plain_string(tag: &yaml::Tag) -> bool {
    tag.core_suffix() == Some("str")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `[a,{b=c}]` with every span's text in front of its value.
    fn show(text: &str, node: &Node) -> String {
        let inner = match &node.kind {
            Kind::Null => "~".to_owned(),
            Kind::Scalar { text, plain } => format!("{}{text}", if *plain { "" } else { "'" }),
            Kind::List(nodes) => {
                format!("[{}]", nodes.iter().map(|n| show(text, n)).collect::<Vec<_>>().join(","))
            }
            Kind::Map(entries) => {
                let entry = |e: &Entry| {
                    assert_eq!(text.get(e.at.clone()).map(|k| k.trim_matches('"')), Some(e.key.as_str()));
                    format!("{}={}", e.key, show(text, &e.value))
                };
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
        };
        if let Kind::Scalar { text: value, plain: true } = &node.kind {
            let source = text.get(node.span.clone()).unwrap_or_default();
            assert!(source == value || source.starts_with('*'), "{source} for {value}");
        }
        inner
    }

    #[test]
    fn trees() {
        for (text, tree) in [
            ("", "~"),
            ("# nothing\n", "~"),
            ("a: 1\nb: [x, \"y\", ~]\n", "{a=1,b=[x,'y,~]}"),
            ("а: {ї: є}\nb: і\n", "{а={ї=є},b=і}"),
            ("a: &x {b: 1}\nc: *x\n", "{a={b=1},c={b=1}}"),
            ("a: !!str 5\n", "{a='5}"),
            ("a:\n- b\n- c: d\n  e: f\n", "{a=[b,{c=d,e=f}]}"),
            ("\u{feff}a: b\n", "{a=b}"),
            ("a: 1\na: 2\n", "{a=1,a=2}"),
        ] {
            let node = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(show(text, &node), tree, "{text}");
        }
    }

    #[test]
    fn no_trees() {
        let deep = "[".repeat(10_000);
        let bomb: String = (0..40)
            .map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(",")))
            .collect::<String>()
            .replace("*a-1", "xxxxxxxxxxxx");
        for (text, cause) in [
            ("a: [1", "YAML: "),
            ("a: b: c", "YAML: "),
            ("a: 1\n---\nb: 2\n", "a second YAML document"),
            ("a: !secret x\n", "YAML tags"),
            ("a: *hunter2\n", "an alias (`*…`) without its anchor"),
            ("a: &x [*x]\n", "an alias"),
            ("[a]: b\n", "a key is a word"),
            (&deep, "YAML: "),
            (&bomb, TOO_MUCH),
        ] {
            let error = parse(text).map(|_| ()).map_err(|e| e.cause);
            assert!(error.as_ref().is_err_and(|e| e.starts_with(cause) && e.len() > 8), "{cause}: {error:?}");
        }
    }
}
