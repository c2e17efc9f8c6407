//! The matrix, and what `${name}` stands for.

use core::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// The most cells that a matrix may have.
pub const MAX_CELLS: usize = 4096;

/// How deep variables may stand in each other.
const MAX_DEPTH: usize = 8;

/// To how much variables may come in one cell, bytes or so: each may stand in the next one twice.
const MAX_REPLACED: usize = 1 << 20;

/// A cell of a matrix: names and what they are there, as people read it, in the order of the file. Without a matrix there is one cell, which
/// is empty.
pub type Cell = Vec<(String, String)>;

/// Variables that are given from outside of a file, in place of those of the same names in it.
pub type Given = [(String, String)];

type Value<'i> = Spanned<DeValue<'i>>;

/// Names and their values.
pub(crate) type Variables<'i> = Vec<(String, Value<'i>)>;

/// An axis: its name, and what it goes through.
struct Axis<'i> {
    name: String,
    values: Vec<Value<'i>>,
}

/// Takes matrix and variables out of a file: what is left, and the variables of each cell.
pub(crate) fn cells<'i>(table: &mut DeTable<'i>, given: &Given) -> Result<Vec<(Cell, Variables<'i>)>, Problem> {
    let axes = take(table, "matrix")?.into_iter().map(axis).collect::<Result<Vec<_>, _>>()?;
    let variables = take(table, "variables")?;
    let named: Vec<(String, Value<'i>)> =
        variables.into_iter().map(|(name, value)| (name.get_ref().to_string(), value)).collect();
    let named = with(named, given);
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > MAX_CELLS) {
        let at = axes.first().and_then(|axis| axis.values.first()).map_or(0..0, Spanned::span);
        return Err(Problem::new(at, format!("the matrix has more than {MAX_CELLS} cells")));
    }
    let mut cells = vec![(Vec::new(), Vec::new())];
    for Axis { name, values } in &axes {
        cells = cells
            .into_iter()
            .flat_map(|(cell, variables): (Cell, Variables<'i>)| {
                values.iter().map(move |value| {
                    let (mut cell, mut variables) = (cell.clone(), variables.clone());
                    cell.push((name.clone(), shown(value.get_ref())));
                    variables.push((name.clone(), value.clone()));
                    (cell, variables)
                })
            })
            .collect();
    }
    for (_, variables) in &mut cells {
        let mut room = MAX_REPLACED;
        for (name, value) in &named {
            let mut value = value.clone();
            substitute(&mut value, variables, MAX_DEPTH, &mut room)?;
            variables.push((name.clone(), value));
        }
    }
    Ok(cells)
}

type Entry<'i> = (Spanned<std::borrow::Cow<'i, str>>, Value<'i>);

/// Variables, with those from outside in place of theirs.
fn with<'i>(mut named: Variables<'i>, given: &Given) -> Variables<'i> {
    for (name, value) in given {
        let value = Spanned::new(0..0, DeValue::String(value.clone().into()));
        match named.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => named.push((name.clone(), value)),
        }
    }
    named
}

/// The entries of a table of the file, in its order.
fn take<'i>(table: &mut DeTable<'i>, name: &str) -> Result<Vec<Entry<'i>>, Problem> {
    let Some(found) = table.remove(name) else { return Ok(Vec::new()) };
    let at = found.span();
    let DeValue::Table(entries) = found.into_inner() else {
        return Err(Problem::new(at, format!("{name} is a table: [{name}]")));
    };
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    if name == "matrix" && entries.is_empty() {
        return Err(Problem::new(at, "the matrix is empty")
            .with_help("write what it goes through, such as browser = [\"chromium\", \"firefox\"], or leave it out"));
    }
    Ok(entries)
}

fn axis<'i>((name, values): Entry<'i>) -> Result<Axis<'i>, Problem> {
    let (at, place) = (values.span(), name.span());
    let name = name.get_ref().to_string();
    match values.into_inner() {
        DeValue::Array(values) if !values.is_empty() => Ok(Axis { name, values: values.into_iter().collect() }),
        DeValue::Array(_) => Err(Problem::new(at, format!("the matrix goes through no {name}"))
            .with_help("name at least one, or leave it out")),
        _ => Err(Problem::new(place, format!("{name} is not a list"))
            .with_help("a matrix goes through lists; what is the same everywhere belongs to [variables]")),
    }
}

/// What a value is called: a table by its member `name`.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(list) => list.iter().map(|value| shown(value.get_ref())).collect::<Vec<_>>().join("+"),
        DeValue::Table(table) => match table.get("name") {
            Some(name) => shown(name.get_ref()),
            None => table.values().map(|value| shown(value.get_ref())).collect::<Vec<_>>().join("/"),
        },
    }
}

/// Puts variables in their places, in all of a table.
pub(crate) fn substitute_all<'i>(table: &mut DeTable<'i>, variables: &Variables<'i>) -> Result<(), Problem> {
    let mut room = MAX_REPLACED;
    for (_, value) in table.iter_mut() {
        substitute(value, variables, MAX_DEPTH, &mut room)?;
    }
    Ok(())
}

/// The places in a text where a variable is: the bytes, and its name.
fn places(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text.get(from..).and_then(|rest| rest.find("${")).map(|start| from + start) {
        let Some(end) = text.get(start..).and_then(|rest| rest.find('}')).map(|end| start + end) else { break };
        if let Some(name) = text.get(start + 2..end) {
            found.push((start..end + 1, name));
        }
        from = end + 1;
    }
    found
}

/// The names of all variables in a text.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    places(text).into_iter().map(|(_, name)| name.split('.').next().unwrap_or(name))
}

/// About how many bytes a value takes.
fn weight(value: &DeValue<'_>) -> usize {
    let inner: usize = match value {
        DeValue::String(text) => text.len(),
        DeValue::Array(list) => list.iter().map(|value| weight(value.get_ref())).sum(),
        DeValue::Table(table) => table.iter().map(|(name, value)| name.get_ref().len() + weight(value.get_ref())).sum(),
        _ => 0,
    };
    inner + 16
}

fn substitute<'i>(
    value: &mut Value<'i>,
    variables: &Variables<'i>,
    depth: usize,
    room: &mut usize,
) -> Result<(), Problem> {
    let at = value.span();
    let text = match value.get_mut() {
        DeValue::Array(list) => {
            return list.iter_mut().try_for_each(|value| substitute(value, variables, depth, room));
        }
        DeValue::Table(table) => {
            return table.iter_mut().try_for_each(|(_, value)| substitute(value, variables, depth, room));
        }
        DeValue::String(text) => text.clone(),
        _ => return Ok(()),
    };
    let found = places(&text);
    if found.is_empty() {
        return Ok(());
    }
    if depth == 0 {
        return Err(Problem::new(at, format!("variables stand more than {MAX_DEPTH} deep in each other")));
    }
    let mut take = |taken: usize| {
        let left = room.checked_sub(taken);
        *room = left.unwrap_or_default();
        left.ok_or_else(|| Problem::new(at.clone(), format!("variables come to more than {MAX_REPLACED} bytes")))
    };
    // All of a value is what the variable is: a number stays one.
    if let [(place, name)] = &found[..]
        && *place == (0..text.len())
    {
        let replacement = variable(name, variables, &at)?;
        take(weight(replacement))?;
        *value.get_mut() = replacement.clone();
        return substitute(value, variables, depth - 1, room);
    }
    let mut replaced = String::new();
    let mut from = 0;
    for (place, name) in found {
        replaced.push_str(text.get(from..place.start).unwrap_or_default());
        let replacement = variable(name, variables, &at)?;
        take(weight(replacement))?;
        replaced.push_str(&shown(replacement));
        from = place.end;
    }
    replaced.push_str(text.get(from..).unwrap_or_default());
    *value.get_mut() = DeValue::String(replaced.into());
    Ok(())
}

/// What a name stands for; `axis.member` of a table.
fn variable<'v, 'i>(name: &str, variables: &'v Variables<'i>, at: &Range<usize>) -> Result<&'v DeValue<'i>, Problem> {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let Some((_, value)) = variables.iter().find(|(known, _)| known == first) else {
        let problem = Problem::new(at.clone(), format!("nothing is called {first:?}"));
        if variables.is_empty() {
            return Err(
                problem.with_help("[matrix], [variables] and --variable NAME=VALUE give names to what ${…} stands for, and there are none")
            );
        }
        return Err(problem.with_nearest(first, variables.iter().map(|(name, _)| name.as_str())));
    };
    let mut value = value.get_ref();
    for part in parts {
        let members = value.as_table();
        let Some(member) = members.and_then(|table| table.get(part)) else {
            let problem = Problem::new(at.clone(), format!("{first:?} has no member {part:?}"));
            let known: Vec<_> =
                members.into_iter().flat_map(|table| table.keys()).map(|name| name.get_ref().as_ref()).collect();
            return Err(problem.with_nearest(part, known));
        };
        value = member.get_ref();
    }
    Ok(value)
}
