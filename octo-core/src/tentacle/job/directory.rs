//! The directory of one job: its files, and the records among them.

use super::{End, Origin};
use crate::base::digest::Digest;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::{JobId, PusherName};
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::publish::{self, Readers};
use crate::base::record::Record;
use crate::tentacle::spec::Spec;
use crate::tentacle::underway;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Records other than the spec are small; a larger one is not ours.
const MAXIMUM_RECORD: u64 = 1 << 20;

/// The directory of one job; the job may not exist.
#[derive(Debug, Clone)]
pub struct JobDirectory {
    id: JobId,
    path: PathBuf,
}

impl JobDirectory {
    /// The directory that a job has or would have.
    pub fn of(places: &Places, id: &JobId) -> JobDirectory {
        JobDirectory { id: id.clone(), path: places.jobs().join(id.as_str()) }
    }

    /// The job in this directory, which must be named by its id.
    ///
    /// # Errors
    /// Exit 64 if the last component is no job id.
    pub fn at(path: &Path) -> Result<JobDirectory> {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(JobId::parse);
        let id =
            name.ok_or_else(|| Error::new(Exit::Usage, path.display(), "not a job directory"))?;
        Ok(JobDirectory { id, path: path.to_path_buf() })
    }

    /// All jobs of a state directory, by id, that is, by the time they claim.
    ///
    /// # Errors
    /// Where the directory can't be read; one that isn't there holds no jobs.
    pub fn all(places: &Places) -> Result<Vec<JobDirectory>> {
        let directory = places.jobs();
        let entries = if_there(&directory, std::fs::read_dir(&directory))?;
        let mut ids = Vec::new();
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(|e| Error::io(&directory, &e))?;
            ids.extend(entry.file_name().to_str().and_then(JobId::parse));
        }
        ids.sort();
        Ok(ids.into_iter().map(|id| JobDirectory::of(places, &id)).collect())
    }

    /// The jobs that are not over, by id: as quick with thousands of others as with none.
    ///
    /// # Errors
    /// As [`JobDirectory::all`].
    pub fn under_way(places: &Places) -> Result<Vec<JobDirectory>> {
        let mut jobs = match underway::names(places)? {
            Some(mut names) => {
                names.sort();
                names.into_iter().map(|id| JobDirectory::of(places, &id)).collect()
            }
            None => JobDirectory::all(places)?,
        };
        jobs.retain(|job| job.exists() && !job.file("end").exists());
        Ok(jobs)
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Is it there?
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// The spec's bytes.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn spec_bytes(&self) -> Result<Vec<u8>> {
        let path = self.file("spec");
        let bytes = self.read("spec", crate::tentacle::spec::MAXIMUM)?;
        bytes.ok_or_else(|| Error::new(Exit::Data, path.display(), "missing"))
    }

    /// The spec and its sha256. Whether it may run, by its variables too, is for who starts it.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn spec(&self) -> Result<(Spec, Digest)> {
        let bytes = self.spec_bytes()?;
        let spec = Spec::recorded(&bytes)
            .map_err(|e| Error::new(Exit::Data, self.file("spec").display(), e.reason))?;
        Ok((spec, Digest::of(&bytes)))
    }

    /// Who asked for the job.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn origin(&self) -> Result<Origin> {
        let missing = || {
            Error::new(Exit::Data, self.file("origin").display(), "not of the form of octo-job(5)")
        };
        let record = self.record("origin")?.ok_or_else(missing)?;
        Origin::of(&record).ok_or_else(missing)
    }

    /// The job's end, if it has one.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn end(&self) -> Result<Option<End>> {
        let Some(record) = self.record("end")? else { return Ok(None) };
        let end = End::of(&record);
        end.map(Some).ok_or_else(|| {
            Error::new(Exit::Data, self.file("end").display(), "not of the form of octo-job(5)")
        })
    }

    /// The name of the pusher whose job this is: as granted, else as asked.
    /// `None` for a job of this machine.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub fn owner(&self) -> Result<Option<PusherName>> {
        if let Some(grant) = self.record("grant")? {
            return Ok(grant.first("name").and_then(PusherName::parse));
        }
        Ok(self.origin()?.pusher.map(|p| p.name))
    }

    /// One of the job's records, if it is there.
    ///
    /// # Errors
    /// Where it can't be read, or is not a record.
    pub fn record(&self, name: &str) -> Result<Option<Record>> {
        let Some(bytes) = self.read(name, MAXIMUM_RECORD)? else { return Ok(None) };
        Record::parse(&bytes).map(Some).map_err(|line| {
            Error::new(
                Exit::Data,
                format!("{}:{line}", self.file(name).display()),
                "not of the form of octo-job(5)",
            )
        })
    }

    /// Publishes one of the job's records under its name, for good.
    ///
    /// # Errors
    /// Exit 73 or 74.
    pub fn publish_record(&self, name: &str, record: &Record) -> Result<()> {
        self.publish_bytes(name, record.encode().as_bytes())
    }

    /// As [`JobDirectory::publish_record`], of any bytes.
    ///
    /// # Errors
    /// As there.
    pub fn publish_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let readers = self.readers().map_err(|e| Error::io(&self.path, &e))?;
        publish::replace(&self.file(name), bytes, readers)
    }

    /// Who reads a record: octo-exec, and the listener by the directory's group.
    ///
    /// # Errors
    /// Where the directory is gone.
    pub fn readers(&self) -> io::Result<Readers> {
        Ok(Readers::of_group(0o640, self.path.metadata()?.gid()))
    }

    /// Asks for the job's cancellation; whoever runs it sees the file appear.
    ///
    /// # Errors
    /// Exit 73 or 74. A job that was cancelled before, or is over, is no error.
    pub fn cancel(&self, by: &str) -> Result<()> {
        let record = Record::new().with("by", by).with("at", crate::base::cli::utc_now()).encode();
        let readers = self.readers().map_err(|e| Error::io(&self.path, &e))?;
        let ask = || publish::create(&self.file("cancel"), record.as_bytes(), readers);
        // Whoever ends a job sweeps its directory, once: then the file in the making is
        // gone, and is made anew.
        let asked = ask().or_else(|_| ask());
        match asked {
            Err(_) if matches!(self.end(), Ok(Some(_))) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Opens a file of the job for reading, never through a link.
    ///
    /// # Errors
    /// Where it is there and can't be opened, or is not a regular file.
    pub fn open(&self, name: &str) -> Result<Option<File>> {
        let path = self.file(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(Error::io(&path, &error.into())),
        };
        let metadata = file.metadata().map_err(|e| Error::io(&path, &e))?;
        if !metadata.is_file() {
            return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
        }
        Ok(Some(file))
    }

    /// Reads a file of the job, if it is there, up to a bound.
    ///
    /// # Errors
    /// As [`JobDirectory::open`], or where it is larger.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.open(name)? {
            Some(mut file) => read_bounded(&mut file, &self.file(name), limit).map(Some),
            None => Ok(None),
        }
    }
}
