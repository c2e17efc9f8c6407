//! Fields of forms, as they are sent (`application/x-www-form-urlencoded`): what a browser's tools show as the source of a request.

/// The values of a form in which JSON is escaped, or one such value alone; none if a text is no such form.
pub(super) fn values(text: &str) -> impl Iterator<Item = String> {
    let is_form = text.contains("%7B") || text.contains("%7b");
    let fields = if is_form { text } else { "" }.trim().split('&');
    let values = fields.filter_map(|field| match field.split_once('=') {
        Some((_, value)) => Some(value),
        None => Some(field).filter(|field| field.starts_with('%')),
    });
    values.filter_map(|value| String::from_utf8(unescaped(value)).ok())
}

fn unescaped(value: &str) -> Vec<u8> {
    let mut rest = value.as_bytes();
    let mut unescaped = Vec::with_capacity(value.len());
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        unescaped.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        rest = if escaped.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    unescaped
}
