# Evaluates a Homebrew formula without Homebrew and prints what it found as JSON.
#
#     ruby tests/arch/formula_loader.rb homebrew/ocpd.rb
#
# What may live here: just enough of the formula language for ours. A word it does not know fails.
require "json"
require "pathname"

HOMEBREW_PREFIX = "/opt/homebrew".freeze

module Language
  module Python
    module Virtualenv
      def virtualenv_install_with_resources
        did "virtualenv_install_with_resources"
      end
    end
  end
end

# Remembers every word that is said in a block, with what was said.
class Recorder < BasicObject
  def initialize(said, allowed)
    @said = said
    @allowed = allowed
  end

  def method_missing(name, *given, **named)
    ::Kernel.raise ::NoMethodError, "no such word here: #{name}" unless @allowed.include?(name)
    @said[name] = named.empty? ? given.first : named
  end

  def respond_to_missing?(*) = true

  def var = ::Pathname.new("/opt/homebrew/var")
  def opt_bin = ::Pathname.new("/opt/homebrew/opt/ocpd/bin")
  def std_service_path_env = "/opt/homebrew/bin:/usr/bin:/bin"
end

class Formula
  ORDER = []
  FACTS = { "depends_on" => [], "resources" => {}, "service" => {} }
  SERVICE = %i[run keep_alive working_dir log_path error_log_path environment_variables].freeze

  class << self
    def include(*modules)
      ORDER << "include"
      super
    end

    %w[desc homepage url sha256 license].each do |word|
      define_method(word) do |value|
        ORDER << word
        FACTS[word] = value
      end
    end

    def depends_on(what)
      ORDER << "depends_on"
      FACTS["depends_on"] << (what.is_a?(Hash) ? what.map { |k, v| [k, v.to_s] }.first : [what, ""])
    end

    def pypi_packages(package_name: nil, extra_packages: [])
      ORDER << "pypi_packages"
      FACTS["pypi_packages"] = { "package_name" => package_name, "extra" => extra_packages }
    end

    def resource(name, &block)
      ORDER << "resource"
      said = {}
      Recorder.new(said, %i[url sha256]).instance_eval(&block)
      FACTS["resources"][name] = said
    end

    def service(&block)
      ORDER << "service"
      Recorder.new(FACTS["service"], SERVICE).instance_eval(&block)
    end

    def test(&block)
      ORDER << "test"
      FACTS["test_lines"] = block.source_location
    end

    def method_added(name)
      ORDER << name.to_s if %i[install caveats].include?(name)
      super
    end
  end

  # What `install` may call: each says what it was given.
  def did(*what) = (@did ||= []) << what.flatten.map(&:to_s)

  Target = Struct.new(:name, :formula) do
    def install(what)
      given = what.is_a?(Hash) ? what.flatten : [what]
      formula.did(name, *given)
    end
  end

  %w[man1 bash_completion fish_completion zsh_completion].each do |name|
    define_method(name) { Target.new(name, self) }
  end

  def facts
    install
    FACTS.merge("order" => ORDER, "installed" => @did, "caveats" => caveats)
  end
end

load File.expand_path(ARGV.fetch(0))
puts JSON.generate(Ocpd.new.facts)
