//! Secrets: given in the file, in a file of their own, or by systemd as a credential.

use std::path::{Component, Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::check::is_printable_ascii;
use crate::read::{Checks, FromToml, Mend, Node, Reader, quoted};
use crate::section::{Field, SECRET_ENDS};

impl Reader<'_> {
    /// Reads one of the same three keys, or none.
    #[expect(
        clippy::option_option,
        reason = "the outer None is a mistake, the inner an absent key"
    )]
    pub(crate) fn optional_secret(
        &self,
        field: &Field,
        checks: Checks<'_, SecretString>,
    ) -> Option<Option<SecretString>> {
        if field.keys().iter().all(|key| self.get(key).is_none()) {
            return Some(None);
        }
        self.secret(field, checks).map(Some)
    }

    /// Reads the one of `name`, `name_file` and `name_credential` that is given.
    pub(crate) fn secret(
        &self,
        field: &Field,
        checks: Checks<'_, SecretString>,
    ) -> Option<SecretString> {
        let keys = SECRET_ENDS.map(|end| format!("{}{end}", field.name));
        let [inline, file, credential] = [0, 1, 2].map(|at| self.get(keys.get(at)?));
        let secret = match (inline, file, credential) {
            (Some(node), None, None) => {
                self.cx.note_if_public(&node.path, self.cx.file);
                (secret_of(&node)?, node)
            }
            (None, Some(node), None) => {
                let path = PathBuf::from_toml(&node)?;
                self.cx.note_if_public(&node.path, &path);
                (read_file(&node, &path)?, node)
            }
            (None, None, Some(node)) => (read_credential(&node)?, node),
            (None, None, None) => return self.no_secret(field, &keys),
            (inline, file, credential) => {
                let given = [inline, file, credential].into_iter().flatten();
                return two_secrets(given.collect());
            }
        };
        let (secret, node) = secret;
        self.cx.also_at(&self.path_of(field.name), &node.path);
        let mends: Vec<_> = checks
            .iter()
            .filter_map(|check| check(&secret).err())
            .collect();
        if mends.is_empty() {
            Some(secret)
        } else {
            node.wrong(mends.join("; "))
        }
    }

    fn no_secret(
        &self,
        field: &Field,
        [inline, file, credential]: &[String; 3],
    ) -> Option<SecretString> {
        self.cx.wrong(
            &self.path_of(field.name),
            format!("is missing; write one of `{inline}`, `{file}` and `{credential}`"),
        );
        None
    }
}

/// Reports a secret that is given more than once, at the last of its keys.
fn two_secrets(mut given: Vec<Node<'_>>) -> Option<SecretString> {
    given.sort_by_key(|node| node.cx.line_of(&node.path));
    let last = given.pop()?;
    let line = given.first().map(|first| first.cx.line_of(&first.path))?;
    last.wrong(format!(
        "tells a secret that line {line} tells already; keep one of the two"
    ))
}

fn secret_of(node: &Node<'_>) -> Option<SecretString> {
    node.text("a text in quotes").map(SecretString::from)
}

/// The text of a file, without the line end that editors leave.
fn read_file(node: &Node<'_>, path: &Path) -> Option<SecretString> {
    match node.cx.env.read_file(path) {
        Ok(text) => Some(SecretString::from(text.trim_end_matches(['\r', '\n']))),
        Err(error) => {
            let path = path.display();
            node.wrong(format!(
                "cannot read {path} ({error}); let the service's user read it"
            ))
        }
    }
}

fn read_credential(node: &Node<'_>) -> Option<SecretString> {
    let name = node.text("the name of a systemd credential in quotes")?;
    if !is_file_name(name) {
        return node.wrong(format!(
            "{} is not a name; write it without slashes",
            quoted(name)
        ));
    }
    let Some(directory) = node.cx.env.credentials_directory() else {
        return node.wrong(format!(
            "needs systemd: add LoadCredential={name}:/path/of/the/secret to the unit; while \
             that does not run, set CREDENTIALS_DIRECTORY to a folder with {name}; or name a \
             file instead"
        ));
    };
    read_file(node, &directory.join(name))
}

fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

/// Checks a token of the appservice API: it travels in an HTTP header.
pub(crate) fn token(secret: &SecretString) -> Mend {
    let token = secret.expose_secret();
    if token.is_empty() {
        return Err("is empty; write a long random text".to_owned());
    }
    if !is_printable_ascii(token) || token.contains(' ') {
        return Err("has characters that HTTP headers do not carry; write ASCII only".to_owned());
    }
    Ok(())
}

/// Checks a bind password. SMPP 3.4 §5.2.2: 8 characters before the NUL.
pub(crate) fn password(secret: &SecretString) -> Mend {
    let password = secret.expose_secret();
    if !is_printable_ascii(password) {
        return Err("has characters beyond ASCII; SMPP carries only ASCII here".to_owned());
    }
    if password.len() > 8 {
        return Err("is too long; SMPP carries 8 characters at most here".to_owned());
    }
    Ok(())
}
