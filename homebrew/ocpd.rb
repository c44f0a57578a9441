class Ocpd < Formula
  include Language::Python::Virtualenv

  desc "OpenAI-style API for your own programs, answered by your Claude login"
  homepage "https://ocpd.example"
  url "https://ocpd.example/ocpd-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"

  # jsonschema-rs is written in Rust; the other resources need a C compiler.
  depends_on "rust" => :build
  depends_on "python@3.14"

  pypi_packages package_name:   "",
                extra_packages: %w[h11 jsonschema-rs msgspec sdnotify uvloop]

  resource "h11" do
    url "https://files.pythonhosted.org/packages/01/ee/02a2c011bdab74c6fb3c75474d40b3052059d95df7e73351460c8588d963/h11-0.16.0.tar.gz"
    sha256 "4e35b956cf45792e4caa5885e69fba00bdbc6ffafbfa020300e549b208ee5ff1"
  end

  resource "jsonschema-rs" do
    url "https://files.pythonhosted.org/packages/36/17/383e687f63ba7c8c730ff770cb5ff70df32bd7f5114bfdcbd4387b19af54/jsonschema_rs-0.60.3.tar.gz"
    sha256 "1d831d8eeb775af547aec0e9f75da51122a9c3563486d02e43db88d425b32c86"
  end

  resource "msgspec" do
    url "https://files.pythonhosted.org/packages/d0/e6/6dcf9306ff3c5e486578f3bf29ed11dfbdbbc2a8bf0caf7e07d392887fda/msgspec-0.22.0.tar.gz"
    sha256 "0a13624a4969159fe35d8c2a3d377b2b61bbd8585e327440d5e52725affcce38"
  end

  resource "sdnotify" do
    url "https://files.pythonhosted.org/packages/ce/d8/9fdc36b2a912bf78106de4b3f0de3891ff8f369e7a6f80be842b8b0b6bd5/sdnotify-0.3.2.tar.gz"
    sha256 "73977fc746b36cc41184dd43c3fe81323e7b8b06c2bb0826c4f59a20c56bb9f1"
  end

  resource "uvloop" do
    url "https://files.pythonhosted.org/packages/fa/42/02c739ce85fb2ee8d99212c61417da8140c6b87e9d97c430bea520d76044/uvloop-0.23.0.tar.gz"
    sha256 "28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27"
  end

  def install
    virtualenv_install_with_resources

    man1.install "packaging/man/ocpctl.1"
    bash_completion.install "packaging/completions/ocpctl.bash" => "ocpctl"
    fish_completion.install "packaging/completions/ocpctl.fish"
    zsh_completion.install "packaging/completions/_ocpctl"
  end

  service do
    run opt_bin/"ocpd"
    keep_alive true
    working_dir var
    log_path var/"log/ocpd.log"
    error_log_path var/"log/ocpd.log"
    environment_variables PATH: std_service_path_env
  end

  def caveats
    <<~EOS
      ocpd drives the official Claude Code CLI, which is not part of this formula
      and comes under Anthropic's terms. Install it, then sign in as the user who
      runs the service:
        claude auth login
      A CLI outside of #{HOMEBREW_PREFIX}/bin and ~/.local/bin is named with
        ocpctl settings claudeBin /path/to/claude

      Then
        brew services start ocpd
        ocpctl status
    EOS
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ocpctl --version")

    ENV["OCPD_STATE_DIR"] = testpath/"state"
    ENV["OCPD_SOCKET"] = testpath/"ocpd.sock"
    port = free_port
    pid = spawn bin/"ocpd", "--port", port.to_s
    begin
      health = shell_output("curl --silent --retry 10 --retry-delay 1 --retry-connrefused " \
                            "http://127.0.0.1:#{port}/health")
      assert_equal version.to_s, JSON.parse(health)["version"]
      assert_match version.to_s, shell_output("#{bin}/ocpctl status")
    ensure
      Process.kill "TERM", pid
      Process.wait pid
    end
  end
end
