//! Services: commands, placeholders and endpoints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Spanned;

use super::super::file::{self, Text, Texts};
use super::super::topology::{Region, Restart, Service};
use super::Checker;

/// What `{…}` may name in a process's command and environment.
const PLACEHOLDERS: [&str; 6] = ["region", "listen", "dynamodb", "home", "others", "directory"];
/// What `{…}` may name in a build command: it runs once, for no region.
const PLACEHOLDERS_BUILD: [&str; 1] = ["directory"];

/// The names between braces in `text`, in order.
pub(crate) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(move |(at, _)| {
        let rest = &text[at + 1..];
        let found = &rest[..rest.find('}')?];
        let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
        (!found.is_empty() && found.bytes().all(plain)).then_some(found)
    })
}

impl Checker<'_> {
    pub(super) fn services(
        &mut self,
        written: &[Spanned<file::Service>],
        regions: &[Region],
    ) -> Vec<Service> {
        let mut names = BTreeMap::new();
        let mut accelerated: Option<usize> = None;
        let mut services = Vec::new();
        for (position, service) in written.iter().enumerate() {
            let service = service.get_ref();
            self.unique(&mut names, &service.name, "service");
            if let Some(flag) = service.accelerated.as_ref().filter(|flag| *flag.get_ref()) {
                let line = self.source.line(&flag.span());
                if let Some(first) = accelerated {
                    let message = format!("two services are accelerated: lines {first} and {line}");
                    self.report(&flag.span(), message, "keep one: there is one accelerator");
                }
                accelerated = Some(line);
            }
            services.push(self.service(position, service, regions));
        }
        services
    }

    fn service(&mut self, position: usize, service: &file::Service, regions: &[Region]) -> Service {
        for word in service.env.values() {
            self.placeholders_known(word, &PLACEHOLDERS);
        }
        let env = service.env.iter().map(|(key, value)| (key.clone(), value.get_ref().clone()));
        Service {
            name: self.name(&service.name),
            directory: self.directory(service.directory.as_ref()),
            optional: service.optional.unwrap_or(false),
            build: self.argv(service.build.as_ref(), &PLACEHOLDERS_BUILD),
            command: self.argv(service.command.as_ref(), &PLACEHOLDERS),
            home_arguments: self.argv(service.home_arguments.as_ref(), &PLACEHOLDERS),
            health_path: self.health_path(service.health_path.as_ref()),
            restart: self.restart(&service.restart, Restart::OnFailure),
            accelerated: service.accelerated.as_ref().is_some_and(|flag| *flag.get_ref()),
            endpoint: self.endpoints(position, service, regions),
            env: env.collect(),
        }
    }

    /// Absolute; below the first base where it exists, else below the first.
    fn directory(&mut self, written: Option<&Text>) -> PathBuf {
        let relative = written.map_or("", |text| text.get_ref().as_str());
        let mut candidates = self.bases.iter().map(|base| base.join(relative));
        let first = candidates.next().unwrap_or_else(|| relative.into());
        if first.is_dir() {
            return first;
        }
        candidates.find(|path| path.is_dir()).unwrap_or(first)
    }

    /// Absolute; below the first base where it exists, else below the first.
    pub(super) fn file(&self, written: &Text) -> PathBuf {
        let mut candidates = self.bases.iter().map(|base| base.join(written.get_ref()));
        let first = candidates.next().unwrap_or_else(|| written.get_ref().into());
        if first.is_file() {
            return first;
        }
        candidates.find(|path| path.is_file()).unwrap_or(first)
    }

    fn argv(&mut self, written: Option<&Texts>, known: &[&str]) -> Vec<String> {
        let Some(words) = written else { return Vec::new() };
        for word in words.get_ref() {
            self.placeholders_known(word, known);
        }
        if words.get_ref().first().is_some_and(|program| program.get_ref().is_empty()) {
            self.report(&words.span(), "the program's name is empty", "name it first in the list");
        }
        words.get_ref().iter().map(|word| word.get_ref().clone()).collect()
    }

    fn placeholders_known(&mut self, word: &Text, known: &[&str]) {
        let unknown: Vec<&str> =
            placeholders(word.get_ref()).filter(|name| !known.contains(name)).collect();
        for name in unknown {
            let remedy = Self::meant(name, known, "placeholder");
            self.report(&word.span(), format!("unknown placeholder `{{{name}}}`"), remedy);
        }
    }

    fn health_path(&mut self, written: Option<&Text>) -> String {
        let Some(path) = written else { return "/health".to_owned() };
        let plain = path.get_ref().bytes().all(|b| b.is_ascii_graphic());
        if !path.get_ref().starts_with('/') || !plain {
            let message = format!("`{}` is not a path", path.get_ref());
            self.report(&path.span(), message, "write an absolute one, for example /health");
        }
        path.get_ref().clone()
    }

    fn endpoints(
        &mut self,
        position: usize,
        service: &file::Service,
        regions: &[Region],
    ) -> BTreeMap<String, SocketAddr> {
        let name = service.name.get_ref();
        let by = |region: &str| format!("the endpoint of `{name}` in `{region}`");
        let Some(written) = &service.endpoint else {
            let all = regions.iter().enumerate();
            let defaults = all.map(|(i, r)| (r.name.clone(), default_endpoint(i, position)));
            let defaults: BTreeMap<_, _> = defaults.collect();
            for (region, address) in &defaults {
                self.take(*address, by(region), &service.name.span(), None);
            }
            return defaults;
        };
        let mut endpoints = BTreeMap::new();
        for (region, address) in written {
            self.known_region(region, regions);
            if let Some(address) = self.written_address(address, by(region.get_ref())) {
                endpoints.insert(region.get_ref().clone(), address);
            }
        }
        endpoints
    }
}

/// An address of its own per region, so that DNS answers can be told apart by address alone.
fn default_endpoint(region: usize, service: usize) -> SocketAddr {
    let third = u8::try_from(region + 1).unwrap_or(u8::MAX);
    let port = 8000_u16.saturating_add(u16::try_from(service).unwrap_or(u16::MAX));
    SocketAddr::from(([127, 0, third, 1], port))
}
