//! Credentials of the DynamoDB API, and what its TLS listener needs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pangea_codec::sigv4::Date;
use toml::Spanned;

use super::super::credential::{Allow, Credential};
use super::super::file;
use super::Checker;

impl Checker<'_> {
    /// The address of a region's TLS listener, if it has one.
    pub(super) fn tls(&mut self, region: &file::Region, by: String) -> Option<SocketAddr> {
        let files = [&region.certificate_file, &region.key_file];
        if let [Some(only), None] | [None, Some(only)] = files {
            let message = "a certificate and its key need each other";
            let remedy = "set `certificate_file` and `key_file`, or neither";
            self.report(&only.span(), message, remedy);
        }
        let address = region.dynamodb_tls.as_ref();
        if let (None, Some(file)) = (address, files[0]) {
            let remedy = "add `dynamodb_tls = \"IP:port\"`, or leave the certificate out";
            self.report(&file.span(), "a certificate without a TLS listener", remedy);
        }
        self.written_address(address?, by)
    }

    pub(super) fn credentials(&mut self, written: &[Spanned<file::Credential>]) -> Vec<Credential> {
        let mut seen = BTreeMap::new();
        let credential = |written: &Spanned<file::Credential>| {
            let place = written.get_ref().access_key.span();
            let written = written.get_ref();
            self.unique(&mut seen, &written.access_key, "credential");
            let access_key = written.access_key.get_ref().clone();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if access_key.is_empty() || !access_key.bytes().all(plain) {
                let remedy = "write letters, digits, hyphens, dots and underscores";
                self.report(&place, format!("`{access_key}` is no access key"), remedy);
            }
            if written.secret.is_some() == written.secret_file.is_some() {
                let message = format!("access key `{access_key}` needs one secret");
                self.report(&place, message, "write either `secret` or `secret_file`");
            }
            let expires = written.expires.as_ref();
            if let Some(text) = expires.filter(|text| Date::read(text.get_ref()).is_none()) {
                let message = format!("`{}` is no time", text.get_ref());
                self.report(&text.span(), message, "write it as 20270131T120000Z, in UTC");
            }
            let text = |text: &Option<file::Text>| text.as_ref().map(|it| it.get_ref().clone());
            let texts = |texts: &file::Texts| {
                texts.get_ref().iter().map(|text| text.get_ref().clone()).collect()
            };
            let allow = |allow: &file::Allow| Allow {
                tables: texts(&allow.tables),
                actions: texts(&allow.actions),
            };
            Credential {
                access_key,
                secret: text(&written.secret),
                secret_file: written.secret_file.as_ref().map(|path| self.file(path)),
                session_token: text(&written.session_token),
                expires: text(&written.expires),
                allow: written.allow.iter().map(allow).collect(),
            }
        };
        written.iter().map(credential).collect()
    }
}
