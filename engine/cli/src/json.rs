//! JSON as `qemu-img` reads it on its command line: RFC 8259, with strings in single quotes as well, and every error in its
//! words. What follows a value is an error of its own, and one within a value is found before what the value lacks.

mod lex;

use crate::message::printable;
use lex::{Lexer, Token};
use serde_json::{Map, Number, Value};

/// Most objects and lists within each other.
const MAX_DEPTH: i64 = 1024;

/// Reads the one value in `text`.
///
/// # Errors
/// What is wrong with it, on one line.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let mut lexer = Lexer::new(text);
    let Some(first) = value(&mut lexer) else { return Err("Expecting a JSON value".to_owned()) };
    let first = first?;
    match value(&mut lexer) {
        None => Ok(first),
        Some(_) => Err("Expecting at most one JSON value".to_owned()),
    }
}

fn error(what: &str) -> String {
    format!("JSON parse error, {what}")
}

/// The next value, if there is anything left: what comes before all that was opened is closed, or too much is.
fn value(lexer: &mut Lexer<'_>) -> Option<Result<Value, String>> {
    let mut tokens = Vec::new();
    let (mut braces, mut brackets) = (0_i64, 0_i64);
    for token in lexer.by_ref() {
        match &token {
            Token::Stray(text) => return Some(Err(error(&format!("stray '{}'", printable(text))))),
            Token::Mark('{') => braces += 1,
            Token::Mark('}') => braces -= 1,
            Token::Mark('[') => brackets += 1,
            Token::Mark(']') => brackets -= 1,
            _ => {}
        }
        if braces + brackets > MAX_DEPTH {
            return Some(Err("JSON nesting depth limit exceeded".to_owned()));
        }
        tokens.push(token);
        if braces < 0 || brackets < 0 || (braces == 0 && brackets == 0) {
            break;
        }
    }
    (!tokens.is_empty()).then(|| Reader { tokens: tokens.into_iter().peekable() }.value())
}

/// Makes a value of its tokens. Their number within each other is bounded.
struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Reader {
    fn next(&mut self) -> Result<Token, String> {
        self.tokens.next().ok_or_else(|| error("premature EOI"))
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next()? {
            Token::Mark('{') => self.object(),
            Token::Mark('[') => self.list(),
            Token::Text(token) => lex::unquoted(&token).map(Value::String).map_err(|what| error(&what)),
            Token::Number(text) => Ok(number(text)),
            Token::Word(word) => match word.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                _ => Err(error(&format!("invalid keyword '{word}'"))),
            },
            Token::Mark(_) | Token::Stray(_) => Err(error("expecting value")),
        }
    }

    /// Whether the next token is `mark`, which is taken then.
    fn skips(&mut self, mark: char) -> Result<bool, String> {
        match self.tokens.peek() {
            None => Err(error("premature EOI")),
            Some(token) if *token == Token::Mark(mark) => Ok(self.next().is_ok()),
            Some(_) => Ok(false),
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        let mut map = Map::new();
        if self.skips('}')? {
            return Ok(Value::Object(map));
        }
        loop {
            let Value::String(key) = self.value()? else {
                return Err(error("key is not a string in object"));
            };
            if !self.skips(':')? {
                return Err(error("missing : in object pair"));
            }
            let value = self.value()?;
            if map.insert(key, value).is_some() {
                return Err(error("duplicate key"));
            }
            match self.next()? {
                Token::Mark('}') => return Ok(Value::Object(map)),
                Token::Mark(',') => {}
                _ => return Err(error("expected separator in dict")),
            }
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut list = Vec::new();
        if self.skips(']')? {
            return Ok(Value::Array(list));
        }
        loop {
            list.push(self.value()?);
            match self.next()? {
                Token::Mark(']') => return Ok(Value::Array(list)),
                Token::Mark(',') => {}
                _ => return Err(error("expected separator in list")),
            }
        }
    }
}

/// The number that `text` is, or that text where none can hold it.
fn number(text: String) -> Value {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    let any = whole.ok().or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    any.map_or(Value::String(text), Value::Number)
}

#[cfg(test)]
mod tests;
