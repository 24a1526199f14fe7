"""The harness of sgdbench: studies, sweeps, measurement, tables, figures and reports."""
