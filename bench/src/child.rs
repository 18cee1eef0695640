//! The ends run in processes of their own: this program again, with other arguments.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A child process that is asked and answers line by line. It ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts this program with these arguments, on one core where one is given.
    #[must_use]
    pub fn start(core: Option<usize>, arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("our own path");
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process (is taskset installed?)");
        let questions = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self {
            child,
            questions,
            answers,
        }
    }

    /// Says a line to the child and waits for a line of it.
    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.questions, "{question}").expect("the child listens");
        self.next_line()
    }

    /// Waits for a line of the child.
    pub fn next_line(&mut self) -> String {
        self.answers
            .next()
            .expect("the child speaks")
            .expect("text")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// In the child: answers every line of the parent until it is gone, then ends the process.
pub fn answer(reply: impl Fn(&str) -> String + Send + 'static) {
    std::thread::spawn(move || {
        for question in std::io::stdin().lines().map_while(Result::ok) {
            println!("{}", reply(&question));
        }
        std::process::exit(0);
    });
}

/// In the child: runs the future as a task, on one thread or on as many as there are cores.
pub fn run(threads: bool, future: impl Future<Output = ()> + Send + 'static) {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build().expect("a runtime");
    let task = runtime.spawn(future);
    runtime.block_on(task).expect("no panic");
}
