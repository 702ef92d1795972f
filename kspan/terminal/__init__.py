"""What any command prints: lines, trees and harmless text."""
